//! Whether one alternative of a route takes a request, with the semantics of the Gateway API's
//! `HTTPRouteMatch`.
//!
//! A host's port does not matter, nor does its case. Paths are compared as normalised, by element. Of a
//! repeated query parameter or cookie the first counts; a repeated header counts as one, its values
//! joined by `, ` (RFC 9110 section 5.3), as Envoy does: a rule on the value that comes first, or on
//! any, could be passed by a request that says two things.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::PeerIdentity;
use crate::settings::{Match, PathMatch};

/// Whether `pattern` (lower case; see [`crate::settings::Route::hosts`]) is `host`, without port.
#[must_use]
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let host = without_root(host);
    match (pattern.strip_prefix('*'), pattern.strip_suffix(".*")) {
        // `*.example.com` needs at least one label before the suffix.
        (Some(suffix), _) => host.len() > suffix.len() && ends_with_ignoring_case(host, suffix),
        // `cart.*` is the first label, alone or followed by more.
        (None, Some(label)) => host.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(label)),
        (None, None) => host.eq_ignore_ascii_case(pattern),
    }
}

/// A name may be written with its root's dot.
#[must_use]
pub fn without_root(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn ends_with_ignoring_case(host: &str, suffix: &str) -> bool {
    let start = host.len() - suffix.len();
    host.as_bytes().get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
}

/// Whether `path` is what is wanted.
#[must_use]
pub fn path_matches(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => after_prefix(prefix, path).is_some(),
        PathMatch::Regex(pattern) => pattern.takes(path.as_bytes()),
    }
}

/// What follows `prefix` in `path`: nothing, or `/…`. `None` where it is no prefix by element.
#[must_use]
pub fn after_prefix<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix))?;
    (rest.is_empty() || rest.starts_with('/') || path == "*").then_some(rest)
}

/// Whether everything but host and path is what is wanted.
#[must_use]
pub fn rest_matches(wanted: &Match, request: &Parts) -> bool {
    (wanted.methods.is_empty() || wanted.methods.contains(&request.method))
        && (!wanted.grpc || is_grpc(&request.headers))
        && headers_match(wanted, &request.headers)
        && query_matches(wanted, request.uri.query().unwrap_or_default())
        && cookies_match(wanted, &request.headers)
        && source_matches(wanted, request)
}

/// A client without an identity is nobody's source.
fn source_matches(wanted: &Match, request: &Parts) -> bool {
    wanted.principals.as_ref().is_none_or(|principals| {
        let peer = request.extensions.get::<Arc<PeerIdentity>>();
        peer.is_some_and(|peer| principals.iter().any(|principal| principal.means(&peer.id)))
    })
}

/// `application/grpc`, alone or with a codec (`+proto`) or parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..16).map(|k| (k, kind.as_bytes())));
    kind.is_some_and(|(kind, all)| {
        kind.eq_ignore_ascii_case(b"application/grpc") && all.get(16).is_none_or(|next| b"+; ".contains(next))
    })
}

fn headers_match(wanted: &Match, headers: &HeaderMap) -> bool {
    wanted.headers.iter().all(|(name, value)| value.takes(header_value(headers, name).as_deref()))
}

/// A header's one value; of several lines, joined.
#[must_use]
pub fn header_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    let Some(second) = lines.next() else { return Some(Cow::Borrowed(first)) };
    let mut joined = first.to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line);
    }
    Some(Cow::Owned(joined))
}

/// The first cookie called `name`.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut crumbs = lines.flat_map(|line| line.as_bytes().split(|b| *b == b';')).map(<[u8]>::trim_ascii);
    crumbs.find_map(|crumb| crumb.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn cookies_match(wanted: &Match, headers: &HeaderMap) -> bool {
    wanted.cookies.iter().all(|(name, value)| value.takes(cookie(headers, name)))
}

fn query_matches(wanted: &Match, query: &str) -> bool {
    wanted.query.iter().all(|(name, value)| {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let found = pairs.find(|(key, _)| decoded(key) == name.as_bytes());
        value.takes(found.map(|(_, found)| decoded(found)).as_deref())
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
    use crate::settings::{Pattern, ValueMatch};
    use http::{Method, Request};

    fn get(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let with =
            |request: http::request::Builder, (name, value): &(&str, &str)| request.header(*name, *value);
        let request = headers.iter().fold(Request::builder().uri(uri), with);
        request.body(()).unwrap().into_parts().0
    }

    fn exact(text: &str) -> ValueMatch {
        ValueMatch::Exact(text.to_owned())
    }

    #[test]
    fn a_prefix_matches_whole_elements() {
        for (pattern, path, taken) in [
            ("/", "/", true),
            ("/", "/any/thing", true),
            ("/", "*", true),
            ("/api", "/api", true),
            ("/api", "/api/v1", true),
            ("/api/", "/api", true),
            ("/api", "/apis", false),
            ("/api", "/", false),
            ("/api", "*", false),
        ] {
            assert_eq!(path_matches(&PathMatch::Prefix(pattern.into()), path), taken, "{pattern} {path}");
        }
        let exact = PathMatch::Exact("/a".into());
        assert!(path_matches(&exact, "/a") && !path_matches(&exact, "/a/"));
    }

    #[test]
    fn hosts_match_whatever_their_case_and_a_star_needs_a_label() {
        let taken = |host: &str| ["shop.example", "*.shop.example"].iter().any(|p| host_matches(p, host));
        for host in ["shop.example", "SHOP.example", "a.shop.example", "a.b.Shop.Example", "shop.example."] {
            assert!(taken(host), "{host}");
        }
        for host in ["example", "xshop.example", ".shop.example.evil", "shop.example.evil"] {
            assert!(!taken(host), "{host}");
        }
    }

    #[test]
    fn a_first_label_is_enough_where_services_are_chosen_by_it() {
        for host in ["cart", "CART.shop.svc", "cart."] {
            assert!(host_matches("cart.*", host), "{host}");
        }
        for host in ["carts", "web.cart", "car", ""] {
            assert!(!host_matches("cart.*", host), "{host}");
        }
    }

    #[test]
    fn methods_headers_and_query_must_all_be_there() {
        let wanted = Match {
            methods: vec![Method::GET],
            headers: vec![(HeaderName::from_static("x-v"), exact("2"))],
            query: vec![("q".into(), exact("a b"))],
            ..Match::default()
        };
        assert!(!rest_matches(&wanted, &get("/?p=1&q=a%20b&q=other", &[])));
        let mut request = get("/?p=1&q=a%20b&q=other", &[("x-v", "2")]);
        assert!(rest_matches(&wanted, &request));
        request.uri = "/?q=other&q=a+b".parse().unwrap();
        assert!(!rest_matches(&wanted, &request), "of a repeated parameter the first counts");
        request.uri = "/?q=a+b".parse().unwrap();
        request.method = Method::POST;
        assert!(!rest_matches(&wanted, &request));
    }

    #[test]
    fn a_repeated_header_counts_as_one_with_all_its_values() {
        let wants =
            |value| Match { headers: vec![(HeaderName::from_static("x-v"), value)], ..Match::default() };
        let twice = get("/", &[("x-v", "gold"), ("x-v", "tin")]);
        assert!(!rest_matches(&wants(exact("gold")), &twice));
        assert!(rest_matches(&wants(exact("gold, tin")), &twice));
        assert!(rest_matches(&wants(ValueMatch::Regex(Pattern::new("gold, .*").unwrap())), &twice));
    }

    #[test]
    fn a_value_may_be_anything_or_must_be_absent() {
        let wants = |value| Match { cookies: vec![("beta".into(), value)], ..Match::default() };
        let (with, without) = (get("/", &[("cookie", "a=1; beta=")]), get("/", &[("cookie", "betamax=1")]));
        assert!(rest_matches(&wants(ValueMatch::Present), &with));
        assert!(!rest_matches(&wants(ValueMatch::Present), &without));
        assert!(!rest_matches(&wants(ValueMatch::Absent), &with));
        assert!(rest_matches(&wants(ValueMatch::Absent), &without));
    }

    #[test]
    fn the_first_of_two_cookies_counts_in_whichever_line() {
        let request = get("/", &[("cookie", "a=1;b=2"), ("cookie", "b=3; c==x")]);
        assert_eq!(cookie(&request.headers, "b"), Some(&b"2"[..]));
        assert_eq!(cookie(&request.headers, "c"), Some(&b"=x"[..]));
        assert_eq!(cookie(&request.headers, "d"), None);
    }

    #[test]
    fn a_grpc_call_is_known_by_its_content_type() {
        let wanted = Match { grpc: true, ..Match::default() };
        for (kind, taken) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(rest_matches(&wanted, &get("/", &[("content-type", kind)])), taken, "{kind}");
        }
        assert!(!rest_matches(&wanted, &get("/", &[])));
    }
}
