//! Which of two rules is asked first: the Gateway API's precedence of `HTTPRoute` (and `GRPCRoute`).
//!
//! Host (exact, then the longer wildcard, then any), exact path, longest prefix, a method named, more
//! headers (cookies and the source among them), more query parameters, and last the file's order. Where a regular
//! expression stands among paths the specification leaves open: here after exact ones and before
//! prefixes, the longer pattern first (Envoy Gateway, Contour and nginx do so; Istio puts them last,
//! where a prefix `/` beside them would never let them be asked).

use std::cmp::Reverse;

use crate::settings::{Match, PathMatch, Route};

/// One host and one alternative of a route.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The route's place in the file.
    pub route: usize,
    /// A host of the route; none: any.
    pub host: Option<String>,
    /// An alternative of the route.
    pub matching: Match,
}

/// A key that sorts the more specific rule first.
type Key = (
    (Reverse<u8>, Reverse<usize>),
    (Reverse<u8>, Reverse<usize>),
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
);

/// Every rule of `routes`, most specific first. A route with several hosts or alternatives is as
/// specific as each of them in its turn.
#[must_use]
pub fn rules<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        routes.into_iter().enumerate().flat_map(|(at, route)| of_route(at, route)).collect();
    rules.sort_by_key(key);
    rules
}

fn of_route(at: usize, route: &Route) -> Vec<Rule> {
    let any = if route.hosts.is_empty() { Some(None) } else { None };
    let hosts = any.into_iter().chain(route.hosts.iter().cloned().map(Some));
    let with = |host: Option<String>| {
        let one = move |matching: &Match| Rule { route: at, host: host.clone(), matching: matching.clone() };
        route.matches.iter().map(one)
    };
    hosts.flat_map(with).collect()
}

fn key(rule: &Rule) -> Key {
    let host = match &rule.host {
        None => (0, 0),
        Some(host) if host.starts_with("*.") => (1, host.len()),
        // Names exclude each other, and so do first labels: their length says nothing.
        Some(host) if host.ends_with(".*") => (2, 0),
        Some(_) => (3, 0),
    };
    let path = match &rule.matching.path {
        PathMatch::Exact(_) => (2, 0),
        PathMatch::Regex(pattern) => (1, pattern.as_str().len()),
        PathMatch::Prefix(prefix) => (0, prefix.strip_suffix('/').unwrap_or(prefix).len()),
    };
    let wanted = &rule.matching;
    (
        (Reverse(host.0), Reverse(host.1)),
        (Reverse(path.0), Reverse(path.1)),
        Reverse(!wanted.methods.is_empty()),
        Reverse(wanted.headers.len() + wanted.cookies.len() + usize::from(wanted.principals.is_some())),
        Reverse(wanted.query.len()),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::settings::{Pattern, ValueMatch};

    fn route(name: &str, hosts: &[&str], path: PathMatch) -> Route {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        let matches = vec![Match { path, ..Match::default() }];
        Route { name: name.to_owned(), hosts, matches, ..Route::default() }
    }

    fn prefix(path: &str) -> PathMatch {
        PathMatch::Prefix(path.to_owned())
    }

    fn names(routes: &[Route]) -> Vec<&str> {
        rules(routes).iter().map(|rule| routes[rule.route].name.as_str()).collect()
    }

    #[test]
    fn host_comes_before_path_and_exact_before_longest_prefix() {
        let sorted = [
            route("any", &[], prefix("/a/very/long/prefix")),
            route("wild-short", &["*.com"], prefix("/")),
            route("wild-long", &["*.example.com"], prefix("/")),
            route("short", &["a.example.com"], prefix("/x")),
            route("long", &["a.example.com"], prefix("/x/y")),
            route("regex", &["a.example.com"], PathMatch::Regex(Pattern::new("/x").unwrap())),
            route("exact", &["a.example.com"], PathMatch::Exact("/x".to_owned())),
        ];
        assert_eq!(names(&sorted), ["exact", "regex", "long", "short", "wild-long", "wild-short", "any"]);
    }

    #[test]
    fn then_method_headers_and_query_and_last_the_files_order() {
        let with = |name: &str, matching: Match| Route {
            name: name.into(),
            matches: vec![matching],
            ..Route::default()
        };
        let (any, value) = (Match::default, || ValueMatch::Exact("b".into()));
        let sorted = [
            with("plain", any()),
            with("second", any()),
            with("query", Match { query: vec![("a".into(), value())], ..any() }),
            with("header", Match { headers: vec![(http::header::ACCEPT, value())], ..any() }),
            with("method", Match { methods: vec![http::Method::GET], ..any() }),
        ];
        assert_eq!(names(&sorted), ["method", "header", "query", "plain", "second"]);
    }

    #[test]
    fn a_route_with_two_hosts_or_alternatives_stands_at_two_places() {
        let mut both = route("both", &["*.example.com", "a.example.com"], prefix("/"));
        let sorted = [both.clone(), route("wild", &["*.b.example.com"], prefix("/"))];
        assert_eq!(names(&sorted), ["both", "wild", "both"]);
        both.hosts.clear();
        both.matches.push(Match { path: prefix("/a/b"), ..Match::default() });
        assert_eq!(names(&[both, route("between", &[], prefix("/a"))]), ["both", "between", "both"]);
    }
}
