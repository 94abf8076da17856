//! Whether a route takes a request, with the semantics of the Gateway API's `HTTPRouteMatch`.
//!
//! Routes come sorted, most specific first; the first that matches wins. A host's port does not
//! matter, nor does its case. Paths are compared as they were sent, by segment.

use std::borrow::Cow;

use http::request::Parts;

use crate::middleware::validity::{host_of, without_port};
use crate::settings::{PathMatch, Route};

/// Whether `route` takes the request.
#[must_use]
pub fn takes(route: &Route, request: &Parts) -> bool {
    path_matches(&route.path, request.uri.path())
        && host_matches(&route.hosts, without_port(host_of(request)))
        && (route.methods.is_empty() || route.methods.contains(&request.method))
        && headers_match(route, request)
        && query_matches(&route.query, request.uri.query().unwrap_or_default())
}

fn host_matches(hosts: &[String], host: &str) -> bool {
    // A name may be written with its root's dot.
    let host = host.strip_suffix('.').unwrap_or(host);
    let matches = |pattern: &String| match (pattern.strip_prefix('*'), pattern.strip_suffix(".*")) {
        // `*.example.com` needs at least one label before the suffix.
        (Some(suffix), _) => host.len() > suffix.len() && ends_with_ignoring_case(host, suffix),
        // `cart.*` is the first label, alone or followed by more.
        (None, Some(label)) => host.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(label)),
        (None, None) => host.eq_ignore_ascii_case(pattern),
    };
    hosts.is_empty() || hosts.iter().any(matches)
}

fn ends_with_ignoring_case(host: &str, suffix: &str) -> bool {
    let start = host.len() - suffix.len();
    host.as_bytes().get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
}

fn path_matches(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path == "*")
        }
    }
}

fn headers_match(route: &Route, request: &Parts) -> bool {
    let present = |(name, value): &(http::HeaderName, String)| {
        request.headers.get_all(name).iter().any(|field| field.as_bytes() == value.as_bytes())
    };
    route.headers.iter().all(present)
}

fn query_matches(wanted: &[(String, String)], query: &str) -> bool {
    wanted.iter().all(|(name, value)| {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        // Of a repeated parameter the first counts.
        let found = pairs.find(|(key, _)| decoded(key) == name.as_bytes());
        found.is_some_and(|(_, found)| decoded(found) == value.as_bytes())
    })
}

/// A part of a query as `application/x-www-form-urlencoded` means it.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|pair| hex::decode(pair).ok());
        match escaped.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderName, Method, Request};

    fn route(path: PathMatch) -> Route {
        Route {
            name: "r".into(),
            hosts: Vec::new(),
            path,
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            split: Vec::new(),
        }
    }

    fn prefix(path: &str) -> Route {
        route(PathMatch::Prefix(path.into()))
    }

    fn get(uri: &str, host: &str) -> Parts {
        Request::builder().uri(uri).header("host", host).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_prefix_matches_whole_segments() {
        for (pattern, path, taken) in [
            ("/", "/", true),
            ("/", "/any/thing", true),
            ("/api", "/api", true),
            ("/api", "/api/v1", true),
            ("/api/", "/api", true),
            ("/api", "/apis", false),
            ("/api", "/", false),
        ] {
            assert_eq!(takes(&prefix(pattern), &get(path, "a")), taken, "{pattern} {path}");
        }
        let exact = route(PathMatch::Exact("/a".into()));
        assert!(takes(&exact, &get("/a?x", "a")) && !takes(&exact, &get("/a/", "a")));
    }

    #[test]
    fn hosts_match_without_port_and_case_and_a_star_needs_a_label() {
        let hosts = vec!["shop.example".into(), "*.shop.example".into()];
        let route = Route { hosts, ..prefix("/") };
        for host in
            ["shop.example", "SHOP.example:8000", "a.shop.example", "a.b.Shop.Example", "shop.example."]
        {
            assert!(takes(&route, &get("/", host)), "{host}");
        }
        for host in ["example", "xshop.example", ".shop.example.evil", "shop.example.evil"] {
            assert!(!takes(&route, &get("/", host)), "{host}");
        }
    }

    #[test]
    fn a_first_label_is_enough_where_services_are_chosen_by_it() {
        let route = Route { hosts: vec!["cart.*".into()], ..prefix("/") };
        for host in ["cart", "cart:8000", "CART.shop.svc", "cart."] {
            assert!(takes(&route, &get("/", host)), "{host}");
        }
        for host in ["carts", "web.cart", "car", ""] {
            assert!(!takes(&route, &get("/", host)), "{host}");
        }
    }

    #[test]
    fn methods_headers_and_query_must_all_be_there() {
        let route = Route {
            methods: vec![Method::GET],
            headers: vec![(HeaderName::from_static("x-v"), "2".into())],
            query: vec![("q".into(), "a b".into())],
            ..prefix("/")
        };
        let mut request = get("/?p=1&q=a%20b&q=other", "a");
        assert!(!takes(&route, &request));
        request.headers.insert("x-v", "2".parse().unwrap());
        assert!(takes(&route, &request));
        request.uri = "/?q=other&q=a+b".parse().unwrap();
        assert!(!takes(&route, &request));
        request.uri = "/?q=a+b".parse().unwrap();
        request.method = Method::POST;
        assert!(!takes(&route, &request));
    }
}
