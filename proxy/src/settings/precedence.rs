//! Which of two routes is asked first: the Gateway API's precedence.
//!
//! Host (exact, then the longer wildcard, then any), exact path, longest prefix, a method named, more
//! headers, more query parameters, and last the file's order.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{PathMatch, Route};

/// A key that sorts the more specific route first.
type Key = (
    (Reverse<u8>, Reverse<usize>),
    (Reverse<u8>, Reverse<usize>),
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
);

/// Most specific first. A route with several hosts is as specific as each of them in its turn, so that
/// it becomes one route a host.
pub(super) fn sort(routes: Vec<Route>) -> Vec<Arc<Route>> {
    let mut single: Vec<Route> = routes.into_iter().flat_map(by_host).collect();
    single.sort_by_key(key);
    single.into_iter().map(Arc::new).collect()
}

fn by_host(route: Route) -> Vec<Route> {
    if route.hosts.len() < 2 {
        return vec![route];
    }
    let one = |host: &String| Route { hosts: vec![host.clone()], ..route.clone() };
    route.hosts.iter().map(one).collect()
}

fn key(route: &Route) -> Key {
    let host = match route.hosts.first() {
        None => (0, 0),
        Some(host) if host.starts_with("*.") => (1, host.len()),
        // Exact hosts exclude each other, so that their length says nothing.
        Some(_) => (2, 0),
    };
    let path = match &route.path {
        PathMatch::Exact(_) => (1, 0),
        PathMatch::Prefix(prefix) => (0, prefix.len()),
    };
    (
        (Reverse(host.0), Reverse(host.1)),
        (Reverse(path.0), Reverse(path.1)),
        Reverse(!route.methods.is_empty()),
        Reverse(route.headers.len()),
        Reverse(route.query.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, hosts: &[&str], path: PathMatch) -> Route {
        Route {
            name: name.to_owned(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            path,
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            split: Vec::new(),
        }
    }

    fn prefix(path: &str) -> PathMatch {
        PathMatch::Prefix(path.to_owned())
    }

    fn names(routes: Vec<Route>) -> Vec<String> {
        sort(routes).iter().map(|route| route.name.clone()).collect()
    }

    #[test]
    fn host_comes_before_path_and_exact_before_longest_prefix() {
        let sorted = names(vec![
            route("any", &[], prefix("/a/very/long/prefix")),
            route("wild-short", &["*.com"], prefix("/")),
            route("wild-long", &["*.example.com"], prefix("/")),
            route("short", &["a.example.com"], prefix("/x")),
            route("long", &["a.example.com"], prefix("/x/y")),
            route("exact", &["a.example.com"], PathMatch::Exact("/x".to_owned())),
        ]);
        assert_eq!(sorted, ["exact", "long", "short", "wild-long", "wild-short", "any"]);
    }

    #[test]
    fn then_method_headers_and_query_and_last_the_files_order() {
        let plain = || route("plain", &[], prefix("/"));
        let sorted = names(vec![
            plain(),
            Route { name: "second".into(), ..plain() },
            Route { name: "query".into(), query: vec![("a".into(), "b".into())], ..plain() },
            Route { name: "header".into(), headers: vec![(http::header::ACCEPT, "b".into())], ..plain() },
            Route { name: "method".into(), methods: vec![http::Method::GET], ..plain() },
        ]);
        assert_eq!(sorted, ["method", "header", "query", "plain", "second"]);
    }

    #[test]
    fn a_route_with_two_hosts_stands_at_two_places() {
        let sorted = names(vec![
            route("both", &["*.example.com", "a.example.com"], prefix("/")),
            route("wild", &["*.b.example.com"], prefix("/")),
        ]);
        assert_eq!(sorted, ["both", "wild", "both"]);
    }
}
