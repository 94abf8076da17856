use super::*;
use crate::routing::matching::{host_matches, path_matches};
use crate::settings::{Pattern, ValueMatch};
use http::{HeaderName, Method, Request};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What the index must answer: the first rule of all that takes the request.
fn by_scan(rules: &[Rule], request: &Parts) -> Option<usize> {
    let host = without_port(host_of(request));
    let takes = |rule: &&Rule| {
        rule.host.as_ref().is_none_or(|pattern| host_matches(pattern, host))
            && path_matches(&rule.matching.path, request.uri.path())
            && rest_matches(&rule.matching, request)
    };
    rules.iter().find(takes).map(|rule| rule.route)
}

fn request(method: Method, host: &str, target: &str, tenant: Option<&str>) -> Parts {
    let mut request = Request::builder().method(method).uri(target).header("host", host);
    if let Some(tenant) = tenant {
        request = request.header("x-tenant", tenant);
    }
    request.body(()).unwrap().into_parts().0
}

fn path() -> impl Strategy<Value = PathMatch> {
    let paths = vec!["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/a/"];
    prop_oneof![
        select(paths.clone()).prop_map(|p| PathMatch::Exact(p.to_owned())),
        select(paths).prop_map(|p| PathMatch::Prefix(p.to_owned())),
        select(vec!["/a.*", "/[ab]/b", ".*", "/"]).prop_map(|p| PathMatch::Regex(Pattern::new(p).unwrap())),
    ]
}

fn value() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        select(vec!["1", "2"]).prop_map(|v| ValueMatch::Exact(v.to_owned())),
        Just(ValueMatch::Regex(Pattern::new("[12]").unwrap())),
        Just(ValueMatch::Present),
        Just(ValueMatch::Absent),
    ]
}

fn matching() -> impl Strategy<Value = Match> {
    let methods = subsequence(vec![Method::GET, Method::POST], 0..=2);
    (path(), methods, proptest::option::of(value()), proptest::option::of(value())).prop_map(
        |(path, methods, header, query)| Match {
            path,
            methods,
            headers: header.into_iter().map(|v| (HeaderName::from_static("x-tenant"), v)).collect(),
            query: query.into_iter().map(|v| ("q".to_owned(), v)).collect(),
            ..Match::default()
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let hosts = vec!["a.example.com", "example.com", "*.example.com", "*.a.example.com", "*.com", "a.*"];
    (subsequence(hosts, 0..=3), proptest::collection::vec(matching(), 1..3)).prop_map(|(hosts, matches)| {
        Route { hosts: hosts.into_iter().map(str::to_owned).collect(), matches, ..Route::default() }
    })
}

fn asked() -> impl Strategy<Value = Parts> {
    let hosts = vec![
        "a.example.com",
        "EXAMPLE.com:80",
        "x.a.example.com.",
        "b.example.com",
        "a",
        ".com",
        "x.org",
        "*",
    ];
    let targets =
        vec!["/", "/a", "/a/", "/a/b", "/a/b/c/d", "/ab", "/b?q=1", "/a?q=2&q=1", "/b/b?q", "//a", "*"];
    let tenants = proptest::option::of(select(vec!["1", "2", "3"]));
    (select(vec![Method::GET, Method::POST, Method::PUT]), select(hosts), select(targets), tenants)
        .prop_map(|(method, host, target, tenant)| request(method, host, target, tenant))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_index_answers_as_a_scan_over_all_rules_would(
        routes in proptest::collection::vec(route(), 0..12), asked in proptest::collection::vec(asked(), 1..12)
    ) {
        let (router, rules) = (Router::new(&routes), rules(&routes));
        for request in &asked {
            prop_assert_eq!(router.find(request).map(|f| f.route), by_scan(&rules, request), "{:?}", request.uri);
        }
    }
}

fn plain(host: &str, path: PathMatch) -> Route {
    let matches = vec![Match { path, ..Match::default() }];
    Route { hosts: vec![host.to_owned()], matches, ..Route::default() }
}

#[test]
fn a_host_that_takes_the_request_nowhere_leaves_it_to_less_specific_hosts() {
    let exact = |path: &str| PathMatch::Exact(path.to_owned());
    let routes = [plain("a.example.com", exact("/only")), plain("*.example.com", exact("/x"))];
    let router = Router::new(&routes);
    assert_eq!(router.find(&request(Method::GET, "a.example.com", "/only", None)).map(|f| f.route), Some(0));
    assert_eq!(router.find(&request(Method::GET, "a.example.com", "/x", None)).map(|f| f.route), Some(1));
    assert_eq!(router.find(&request(Method::GET, "a.example.com", "/y", None)), None);
}

#[test]
fn ten_thousand_routes_are_asked_no_slower_than_ten() {
    let many = |n: usize| -> Vec<Route> {
        let route =
            |n: usize| plain(&format!("h{}.example.com", n / 10), PathMatch::Prefix(format!("/p{}", n % 10)));
        (0..n).map(route).collect()
    };
    let (few, all) = (Router::new(&many(10)), Router::new(&many(10_000)));
    let asked = request(Method::GET, "h0.example.com", "/p9/x", None);
    let time = |router: &Router| {
        let started = std::time::Instant::now();
        (0..2_000).for_each(|_| assert_eq!(router.find(&asked), Some(Found { route: 9, prefix: 3 })));
        started.elapsed()
    };
    let best = |router: &Router| (0..5).map(|_| time(router)).min().unwrap();
    assert!(best(&all) < best(&few) * 20, "{:?} against {:?}", best(&all), best(&few));
}
