use super::*;
use crate::settings::{Algorithm, PathMatch, Priority, RetryOn};
use protocol::id::ServiceName;

pub(super) fn given() -> Given {
    Given { ai_enabled: false, ai_mode: None, host_name: "night".to_owned(), cores: 2 }
}

fn read(text: &str) -> Result<Settings, Report> {
    Settings::from_document(&Document::parse("proxy.yaml", text)?, &given())
}

fn problems(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("taken"),
        Err(report) => {
            let line = |p: &protocol::document::Problem| format!("{}:{} {}", p.line, p.column, p.message);
            report.problems.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

const CONTRACT: &str = r#"
server: { bind_address: "0.0.0.0", port: 8000, max_connections: 10000 }
upstream:
  services:
    example-service:
      endpoints: [ { address: "127.0.0.1", port: 8080, weight: 100 } ]
      health_check: { enabled: true, path: "/health", interval_ms: 30000 }
load_balancing: { algorithm: "round_robin" }
circuit_breaker: { enabled: true, failure_threshold: 5, recovery_timeout_ms: 60000 }
ai: { enabled: true, autonomous_mode: false, provider: "openai", model: "gpt-4" }
"#;

const CONTRACT_BLOCK: &str = r#"
server:
  bind_address: "0.0.0.0"
  port: 8000
  max_connections: 10000
upstream:
  services:
    example-service:
      endpoints:
        - address: "127.0.0.1"
          port: 8080
          weight: 100
      health_check:
        enabled: true
        path: "/health"
        interval_ms: 30000
load_balancing:
  algorithm: "round_robin"
circuit_breaker:
  enabled: true
  failure_threshold: 5
  recovery_timeout_ms: 60000
ai:
  enabled: true
  autonomous_mode: false
  provider: "openai"
  model: "gpt-4"
"#;

#[test]
fn the_promised_sample_loads_verbatim_in_both_styles() -> Result<(), Report> {
    let (flow, block) = (read(CONTRACT)?, read(CONTRACT_BLOCK)?);
    assert_eq!(flow.hash, block.hash);
    assert_eq!(flow.server.bind.to_string(), "0.0.0.0:8000");
    let ai = flow.ai.as_ref();
    assert_eq!(ai.map(|ai| ai.mode), Some(AiMode::Advisory));
    assert_eq!(ai.map(|ai| ai.proxy.as_str()), Some("night-8000"));
    assert_eq!(flow.routes.len(), 1);
    assert_eq!(flow.routes[0].matches[0].path, PathMatch::Prefix("/".to_owned()));
    Ok(())
}

#[test]
fn the_shipped_sample_is_a_plain_proxy_until_a_brain_is_asked_for() -> Result<(), Report> {
    let sample = Document::parse("sample", crate::config::SAMPLE)?;
    assert!(Settings::from_document(&sample, &given())?.ai.is_none());
    let asked = Given { ai_enabled: true, ai_mode: Some(AiMode::Observe), ..given() };
    let settings = Settings::from_document(&sample, &asked)?;
    assert_eq!(settings.ai.map(|ai| ai.mode), Some(AiMode::Observe));
    assert_eq!(settings.admin.bind.to_string(), "127.0.0.1:9901");
    assert_eq!(settings.admin.state_path.to_str(), Some("./lightsout-data/proxy-9901.state.json"));
    Ok(())
}

#[test]
fn a_services_own_policies_win_key_by_key() -> Result<(), Report> {
    let settings = read(
        "circuit_breaker: { failure_threshold: 9 }\nupstream:\n  services:\n    a:\n      endpoints: [{address: h, port: 1}]\n      load_balancing: {algorithm: least_connections}\n      circuit_breaker: {success_threshold: 7}\n    b: {endpoints: [{address: h, port: 2}], circuit_breaker: {enabled: false}}\n",
    )?;
    let service = |name: &str| settings.services[&ServiceName::new(name).unwrap()].clone();
    assert_eq!(service("a").balancing.algorithm, Algorithm::LeastConnections);
    assert_eq!(service("b").balancing.algorithm, Algorithm::RoundRobin);
    assert_eq!(service("a").breaker.map(|b| (b.failure_threshold, b.success_threshold)), Some((9, 7)));
    assert_eq!(service("b").breaker, None);
    assert_eq!(settings.routes[0].hosts, ["a.*"]);
    Ok(())
}

#[test]
fn what_is_impossible_is_named_all_at_once_each_in_its_place() {
    let text = "server:
  bind_address: localhost
  request_timeout_ms: 100
  connection_timeout_ms: 200
  trusted_proxies: [10.0.0.0/33]
admin: { port: 9901 }
upstream:
  services:
    cart:
      endpoints:
        - { address: 127.0.0.1, port: 1, weight: 0 }
        - { address: 127.0.0.1, port: 1, weight: 0 }
        - { address: 'a b', port: 0 , weight: 0}
      health_check: { path: health, interval_ms: 1000, timeout_ms: 2000 }
routes:
  - { name: r, path: { exact: /a, prefix: /b }, split: [ { service: crt } ] }
  - name: r
    split:
      - { service: cart, version: v9, weight: 0 }
floor: { min_capacity: 0.2 }
ai: { window_ms: 1, brain: 'ftp://x' }
";
    insta::assert_snapshot!(problems(text), @r#"
    2:3 "localhost" is not an IP address
    4:3 200 ms is longer than request_timeout_ms (100 ms)
    5:21 "10.0.0.0/33" is no address and no network (10.0.0.0/8)
    10:7 every weight is 0: no endpoint would ever be asked
    12:11 127.0.0.1:1 is listed twice in this service
    13:13 "a b" is neither a host name nor an IP address
    13:29 0 is out of range: 1 to 65535
    14:23 "health" is not a path: it begins with /
    14:56 2000 ms is longer than interval_ms (1000 ms)
    16:16 give one of exact, prefix and regex
    16:60 no service is called "crt"; there are: cart
    17:5 another route is called "r" already
    18:5 every weight is 0: the route would lead nowhere
    19:26 no endpoint of cart has the version "v9"
    20:10 0.2 is out of range: 0.5 to 1
    21:7 1 is out of range: 250 to 10000
    21:21 "ftp://x" is not a URL of the form http://HOST:PORT
    21:21 a brain is shown a token: give its file in ai.token_path
    "#);
}

#[test]
fn impossible_routes_are_named_each_in_its_place() {
    let text = "upstream:
  services:
    cart: { endpoints: [{ address: h, port: 1, version: v1, metadata: { tier: gold } }] }
routes:
  - name: matches
    path: { regex: '(' }
    headers: { x-a: { exact: a, present: true }, X-A: b }
    grpc: { service: '' }
    matches: [{ cookies: { c: { regex: '[' } } }]
    split: [{ service: cart, metadata: { tier: tin } }]
  - name: answers
    path: { exact: /a }
    redirect: { prefix: /b, status: 200 }
    respond: { status: 204, body: x }
  - { name: nothing, redirect: {} }
  - name: edits
    request_headers: { set: { host: a, x-a: b, X-Lightsout-Shadow: c }, remove: [X-a, transfer-encoding] }
    rewrite: { path: '//evil', host: 'a:80' }
    cohort: { key: path, pin_header: 'a b' }
    fault: { delay: { ms: 0, percent: 101 }, abort: { status: 200, percent: 1 } }
    split: [{ service: cart }]
";
    insta::assert_snapshot!(problems(text), @r#"
    9:5 say what is matched either in the route or in matches, not both
    9:33 no pattern: unclosed character class
    10:30 no endpoint of cart has all of tier: tin
    11:5 a route has one of split, redirect and respond
    13:17 only the prefix of a route that matches by prefix can be replaced
    13:29 200 is no redirect: 301, 302, 303, 307 or 308
    15:22 a redirect that changes nothing would go round in circles
    17:31 host is not a route's to change; see rewrite
    17:40 x-a is named twice
    17:48 x-lightsout-shadow is not a route's to change
    17:87 transfer-encoding is not a route's to change
    18:16 "//evil" is not a path: it begins with one / and has no query
    18:32 "a:80" is no host: give a name or an address, without port
    19:15 "path" knows no client: give header:NAME, cookie:NAME, query:NAME or ip
    19:26 this is not a header's name
    20:23 0 is out of range: 1 to 60000
    20:30 101 is out of range: 0 to 100
    20:55 200 is out of range: 400 to 599
    "#);
}

#[test]
fn routes_in_every_form_are_taken() -> Result<(), Report> {
    let settings = read(
        "upstream: { services: { cart: { endpoints: [{ address: h, port: 1, version: v1, metadata: { tier: gold } }] } } }
routes:
  - name: call
    grpc: { service: shop.v1.Cart, method: Add }
    split: [{ service: cart, version: v1, metadata: { tier: gold } }]
  - name: either
    matches: [{ path: { regex: '/v[0-9]+/.*' }, headers: { x-a: { regex: 'a+' }, x-b: { present: false } } }, { query: { q: '1' } }]
    rewrite: { path: /x, host: other.example }
    response_headers: { set: { x-served-by: edge }, remove: [server] }
    cohort: { key: 'header:X-User-Cohort', pin_header: X-Version }
    fault: { delay: { ms: 5, percent: 0.5 }, abort: { reset: true, percent: 100 }, only_with: { x-game-day: 'on' } }
    split: [{ service: cart }]
  - { name: away, path: { prefix: /old/ }, redirect: { scheme: https, prefix: '', status: 308 } }
  - { name: teapot, respond: { status: 418 } }
",
    )?;
    assert_eq!(settings.routes.len(), 4);
    assert_eq!(settings.routes[0].matches[0].path, PathMatch::Exact("/shop.v1.Cart/Add".to_owned()));
    assert_eq!(settings.routes[1].matches.len(), 2);
    assert_eq!(settings.routes[2].matches[0].path, PathMatch::Prefix("/old".to_owned()));
    Ok(())
}

#[test]
fn retries_and_limits_are_judged_and_filled_in_key_by_key() -> anyhow::Result<()> {
    let settings = read(
        "retry: { max_attempts: 2, budget: { ratio: 0.1 }, hedge: {} }
limits: { max_requests: 100 }
upstream:
  services:
    cart:
      endpoints: [{ address: h, port: 1 }]
      retry: { on: [5xx], hedge: { percentile: 99 } }
      limits: { adaptive: { max: 50 } }
      request_timeout_ms: 700
    quiet:
      endpoints: [{ address: h, port: 2 }]
      retry: { enabled: false }
routes: [{ priority: low, retries: false, request_timeout_ms: 90, split: [{ service: cart }] }]
",
    )?;
    let cart = &settings.services[&ServiceName::new("cart")?];
    let retry = cart.retry.clone().ok_or_else(|| anyhow::anyhow!("no retries"))?;
    assert_eq!((retry.max_attempts, &retry.on[..]), (2, &[RetryOn::Any5xx][..]));
    assert_eq!((retry.budget.ratio, retry.budget.min_per_second), (0.1, 10));
    assert_eq!(retry.hedge.map(|hedge| hedge.quantile), Some(0.99));
    let limits = cart.limits.clone().ok_or_else(|| anyhow::anyhow!("no limits"))?;
    assert_eq!((limits.max_requests, limits.adaptive.map(|a| (a.min, a.max))), (Some(100), Some((8, 50))));
    assert_eq!(settings.services[&ServiceName::new("quiet")?].retry, None);
    assert_eq!((settings.routes[0].priority, settings.routes[0].retries), (Priority::Low, false));
    let text = "upstream: { services: { a: { endpoints: [ { address: h, port: 1 } ], idle_timeout_ms: 0 } } }
retry: { max_attempts: 11, methods: [get], statuses: [200], budget: { ratio: 2 } }
limits: { max_requests: 0, adaptive: { min: 9, max: 3 }, priority_header: 'a b' }
";
    insta::assert_snapshot!(problems(text), @r#"
    1:70 0 ms is impossible: 1 to 86400000 ms
    2:10 11 is out of range: 1 to 10
    2:38 "get" is no method that can be sent again
    2:55 200 is out of range: 400 to 599
    2:71 2 is out of range: 0 to 1
    3:11 0 is out of range: 1 to 1000000
    3:48 min is above max
    3:58 "a b" is no header field's name
    "#);
    Ok(())
}

#[test]
fn files_and_limits_that_are_impossible_are_refused_by_name() {
    let text = "upstream:
  services:
    cart:
      endpoints: [{ address: h, port: 1 }]
security: { ip_lists: { deny: [10.0.0.0/33], allow_file: /nowhere/allowed } }
rate_limit:
  rules:
    - { key: cookie, requests: 0, routes: [other] }
    - { name: a, key: ip, requests: 1, services: [other] }
    - { name: a, key: 'header:x y', requests: 1, burst: 0 }
server:
  tls: { certificate: /nowhere/cert.pem, key: /nowhere/key.pem }
";
    insta::assert_snapshot!(problems(text), @r#"
    5:32 "10.0.0.0/33" is no address and no network (10.0.0.0/8)
    5:46 /nowhere/allowed cannot be read: No such file or directory (os error 2)
    8:9 "cookie" is no key: give ip, header:NAME, user, route, service or global
    8:22 0 is out of range: 1 to 10000000
    8:44 no route is called "other"
    9:51 no service is called "other"
    10:18 "header:x y" is no key: give ip, header:NAME, user, route, service or global
    10:50 0 is out of range: 1 to 10000000
    12:10 /nowhere/cert.pem cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn unknown_keys_and_names_are_guessed_and_negative_numbers_refused() {
    let text = "server: { prot: 1, port: -1 }\nload_balancing: { algorithm: round_robbin }\nupstream: { services: { a: { endpoints: [ { adress: h, port: 1 } ] } } }\n";
    insta::assert_snapshot!(problems(text), @r#"
    1:11 unknown key "prot"; did you mean "port"?
    1:20 -1 is less than the minimum of 0
    2:19 "round_robbin" is not one of round_robin, weighted_round_robin, least_connections, consistent_hash, random, peak_ewma; did you mean "round_robin"?
    3:43 the key "address" is missing
    3:45 unknown key "adress"; did you mean "address"?
    "#);
}

#[test]
fn certificates_that_cannot_be_used_are_not_served_in_clear_text() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let text = format!("{CONTRACT}\n")
        .replace("port: 8000,", &format!("port: 8000, tls: {{ certificate: {path}, key: {path} }},"));
    assert!(problems(&text).contains("holds no certificate"));
}

#[test]
fn a_file_without_services_is_refused() {
    insta::assert_snapshot!(problems(""), @r#"
    1:1 no service is configured: there is nowhere to send a request
    "#);
}

#[test]
fn a_rate_that_opens_breakers_is_given_in_any_of_its_ways() -> Result<(), Report> {
    use crate::settings::FailureRate;
    use std::time::Duration;
    let service = "upstream: { services: { a: { endpoints: [{ address: h, port: 1 }] } } }";
    let rate = |keys: &str| {
        let settings = read(&format!("circuit_breaker: {{ {keys} }}\n{service}"))?;
        Ok(settings.services[&ServiceName::new("a").unwrap()].breaker.and_then(|breaker| breaker.rate))
    };
    let of = |rate, requests, duration_ms: Option<u64>, min_requests| {
        Some(FailureRate { rate, requests, duration: duration_ms.map(Duration::from_millis), min_requests })
    };
    assert_eq!(rate("failure_threshold: 5")?, None);
    assert_eq!(rate("rate: 0.3")?, of(0.3, Some(20), None, 20));
    assert_eq!(rate("window: 50")?, of(0.5, Some(50), None, 20));
    assert_eq!(rate("min_requests: 40")?, of(0.5, Some(40), None, 40));
    assert_eq!(rate("window_ms: 10000, min_requests: 5")?, of(0.5, None, Some(10_000), 5));
    let both = "window: { requests: 10, duration_ms: 2000 }, rate: 1.0";
    assert_eq!(rate(both)?, of(1.0, Some(10), Some(2_000), 20));
    Ok(())
}

#[test]
fn what_is_impossible_in_balancing_and_breakers_is_named() {
    let text = "load_balancing:
  choices: 9
  hash_key: 'body:x'
  session_affinity_key: path
  sticky_sessions: { cookie: 'a b', same_site: none }
  panic_threshold: 101
  slow_start_aggression: 0
circuit_breaker: { rate: 0, window: { requests: 5000, duration_ms: 1 }, window_ms: 5, min_requests: 6000 }
upstream: { services: { a: { endpoints: [{ address: h, port: 1 }] } } }
";
    insta::assert_snapshot!(problems(text), @r#"
    2:3 9 is out of range: 1 to 8
    3:3 "body:x" names nothing of a request: give header:NAME, cookie:NAME, query:NAME, path or ip
    4:3 a path does not know a client again: give header:NAME, cookie:NAME, query:NAME or ip
    5:22 "a b" is no cookie's name
    5:37 browsers refuse same_site none without secure
    6:3 101 is out of range: 0 to 100
    7:3 0 is out of range: 0.1 to 10
    8:20 0 is out of range: above 0, to 1
    8:39 5000 is out of range: 1 to 4096
    8:55 1 ms is impossible: 10 to 86400000 ms
    8:73 window says how long already
    8:73 5 ms is impossible: 10 to 86400000 ms
    8:87 6000 are more than the window holds (5000)
    "#);
    let shape = "load_balancing: { sticky_sessions: { cooky: a } }\ncircuit_breaker: { window: many }\n";
    insta::assert_snapshot!(problems(shape), @r#"
    1:38 unknown key "cooky"; did you mean "cookie"?
    2:20 "many" is not of type "integer"
    "#);
}
