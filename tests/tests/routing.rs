//! Routes with all they can do, through a real proxy in front of real origins.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use http::{HeaderMap, StatusCode};
use tests::{Behaviour, Origin, Proxy, admin_token, eventually};

/// A proxy before `cart` (v1 on the first origin, v2 on the second, which is `gold`) by these routes.
async fn proxy(dir: &Path, origins: &[Origin], routes: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let (v1, v2) = (origins[0].address.port(), origins[1].address.port());
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0, drain_timeout_ms: 5000 }}
admin: {{ bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream:
  services:
    cart:
      endpoints:
        - {{ address: 127.0.0.1, port: {v1}, version: v1 }}
        - {{ address: 127.0.0.1, port: {v2}, version: v2, metadata: {{ tier: gold }} }}
routes:
{routes}"
    );
    Proxy::start(dir, &config).await
}

/// Does not follow redirects.
fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?)
}

async fn get(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Result<(StatusCode, HeaderMap)> {
    let mut request = client()?.get(format!("{}{path}", proxy.url));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = request.send().await?;
    Ok((response.status(), response.headers().clone()))
}

async fn metric(proxy: &Proxy, line: &str) -> Result<f64> {
    let text = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let value = text.lines().find_map(|l| l.strip_prefix(line)).map(str::trim);
    Ok(value.map(str::parse).transpose()?.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_wins_wherever_it_stands() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - { name: any, respond: { status: 200, body: any } }
  - { name: prefix, path: { prefix: /shop }, respond: { status: 200, body: prefix } }
  - { name: longer, path: { prefix: /shop/cart }, respond: { status: 200, body: longer } }
  - { name: regex, path: { regex: '/shop/cart/[0-9]+' }, respond: { status: 200, body: regex } }
  - { name: exact, path: { exact: /shop/cart/7 }, respond: { status: 200, body: exact } }
  - { name: method, path: { prefix: /shop }, methods: [POST], respond: { status: 200, body: method } }
  - { name: header, path: { prefix: /shop }, headers: { x-a: { regex: 'a+' } }, respond: { status: 200, body: header } }
  - { name: query, path: { prefix: /shop }, query: { q: '1' }, respond: { status: 200, body: query } }
  - { name: cookie, path: { prefix: /shop }, cookies: { beta: { present: true } }, headers: { x-a: a },
      respond: { status: 200, body: cookie } }
  - { name: wild, hosts: ['*.example.com'], respond: { status: 200, body: wild } }
  - { name: host, hosts: [a.example.com], respond: { status: 200, body: host } }
  - { name: call, grpc: { service: shop.Cart }, respond: { status: 200, body: call } }
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    for (method, path, fields, route) in [
        ("GET", "/other", &[][..], "any"),
        ("GET", "/shopping", &[], "any"),
        ("GET", "/shop/x", &[], "prefix"),
        ("GET", "/shop/cart/x", &[], "longer"),
        ("GET", "/shop/cart/8", &[], "regex"),
        ("GET", "/shop/cart/7", &[], "exact"),
        ("POST", "/shop/x?q=1", &[("x-a", "a")], "method"),
        ("GET", "/shop/x?q=1", &[("x-a", "aa")], "header"),
        ("GET", "/shop/x?q=1", &[("x-a", "ab")], "query"),
        ("GET", "/shop/x", &[("x-a", "a"), ("cookie", "x=1; beta=")], "cookie"),
        ("GET", "/shop/x", &[("host", "b.example.com")], "wild"),
        ("GET", "/shop/x", &[("host", "A.example.com:80")], "host"),
        ("POST", "/shop.Cart/Add", &[("content-type", "application/grpc")], "call"),
        ("POST", "/shop.Cart/Add", &[], "any"),
    ] {
        let mut request = client()?.request(method.parse()?, format!("{}{path}", proxy.url));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await?.text().await?, route, "{method} {path} {fields:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_rewrites_redirects_and_edits_headers() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - name: rewritten
    path: { prefix: /api }
    rewrite: { prefix: /v2/, host: inner.example }
    request_headers: { set: { x-set: '1' }, add: { x-many: b }, remove: [x-gone] }
    response_headers: { set: { x-edge: 'yes' } }
    split: [{ service: cart, metadata: { tier: gold } }]
  - { name: away, path: { prefix: /old }, redirect: { scheme: https, host: new.example, prefix: /new, status: 308 } }
  - { name: port, path: { exact: /port }, redirect: { path: /there } }
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    let fields = [("x-gone", "1"), ("x-many", "a"), ("x-set", "0"), ("connection", "x-set")];
    let (status, headers) = get(&proxy, "/api/items?q=1", &fields).await?;
    assert_eq!((status.as_u16(), headers["x-edge"].to_str()?), (200, "yes"));
    let head = origins[1].last_head().unwrap();
    assert_eq!(head.uri, "/v2/items?q=1");
    assert_eq!((head.headers["host"].to_str()?, head.headers["x-set"].to_str()?), ("inner.example", "1"));
    assert!(!head.headers.contains_key("x-gone"));
    assert_eq!(head.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(origins[0].requests(), 0, "only the gold endpoint is asked");

    let (status, headers) = get(&proxy, "/old/x?y=z", &[]).await?;
    assert_eq!((status.as_u16(), headers["location"].to_str()?), (308, "https://new.example/new/x?y=z"));
    let (status, headers) = get(&proxy, "/port?y", &[]).await?;
    assert_eq!((status.as_u16(), headers["location"].to_str()?), (302, &*format!("{}/there?y", proxy.url)));
    assert_eq!(get(&proxy, "/none", &[]).await?.0, 404);
    Ok(())
}

/// The version that serves each user, by which origin was asked.
async fn cohorts(proxy: &Proxy, origins: &[Origin], users: usize) -> Result<BTreeMap<usize, usize>> {
    let client = client()?;
    let mut served = BTreeMap::new();
    for user in 0..users {
        let before = origins[1].requests();
        let request = client.get(&proxy.url).header("x-user-cohort", format!("user-{user}"));
        assert_eq!(request.send().await?.status(), 200);
        served.insert(user, if origins[1].requests() > before { 2 } else { 1 });
    }
    Ok(served)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_keep_their_share_and_a_growing_canary_only_takes() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - name: ab
    cohort: { key: 'header:X-User-Cohort', pin_header: X-Version }
    split: [{ service: cart }]
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    let weigh = |v1: u32, v2: u32| {
        serde_json::json!({
            "epoch": 1, "lease_ms": 60_000, "service": "cart", "reason": "test", "confidence": 1.0, "issued_by": "test",
            "kind": { "type": "set_weights", "weights": { "version:v1": v1, "version:v2": v2 } }
        })
    };
    let mut before: Option<BTreeMap<usize, usize>> = None;
    for (n, share) in [10, 30, 50].into_iter().enumerate() {
        let (status, answer) =
            proxy.ask("PUT", &format!("/v1/actions/canary-{n}"), Some(&weigh(100 - share, share))).await?;
        assert_eq!(status, 200, "{answer}");
        let served = cohorts(&proxy, &origins, 500).await?;
        assert_eq!(served, cohorts(&proxy, &origins, 500).await?, "the same client, the same share");
        let on_canary = served.values().filter(|version| **version == 2).count();
        assert!(on_canary.abs_diff(5 * share as usize) <= 35, "{on_canary} of 500 at {share} %");
        if let Some(before) = before {
            let left = before.iter().filter(|(user, version)| **version == 2 && served[*user] == 1).count();
            assert_eq!(left, 0, "nobody leaves a canary that grows");
        }
        before = Some(served);
    }
    let (asked, fields) = (origins[1].requests(), [("x-user-cohort", "user-1"), ("x-version", "v2")]);
    for _ in 0..4 {
        get(&proxy, "/", &fields).await?;
    }
    assert_eq!(origins[1].requests(), asked + 4, "a version that is named serves");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_injected_in_their_share_marked_and_counted_apart() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - name: game
    path: { prefix: /game }
    fault: { abort: { status: 503, percent: 50 }, delay: { ms: 30, percent: 100 }, only_with: { x-game-day: 'on' } }
    split: [{ service: cart }]
  - { name: cut, path: { prefix: /cut }, fault: { abort: { reset: true, percent: 100 } }, split: [{ service: cart }] }
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    for _ in 0..6 {
        let (status, headers) = get(&proxy, "/game", &[]).await?;
        assert_eq!((status.as_u16(), headers.get("x-lightsout-fault")), (200, None));
    }
    let client = client()?;
    let mut aborted = 0u32;
    for _ in 0..20 {
        let started = std::time::Instant::now();
        let response = client.get(format!("{}/game", proxy.url)).header("x-game-day", "on").send().await?;
        assert!(started.elapsed().as_millis() >= 30);
        let fault = if response.status() == 503 { "abort" } else { "delay" };
        assert_eq!(response.headers()["x-lightsout-fault"], fault);
        aborted += u32::from(fault == "abort");
    }
    // Each worker counts for itself.
    assert!(aborted.abs_diff(10) <= 1, "{aborted} of 20");
    assert!(client.get(format!("{}/cut", proxy.url)).send().await.is_err(), "no answer at all");
    assert_eq!(metric(&proxy, "proxy_faults_injected_total{kind=\"abort\"}").await?, f64::from(aborted));
    assert_eq!(metric(&proxy, "proxy_faults_injected_total{kind=\"delay\"}").await?, 20.0);
    assert!(metric(&proxy, "proxy_faults_injected_total{kind=\"reset\"}").await? >= 1.0);
    assert_eq!(
        origins.iter().map(Origin::requests).sum::<u64>(),
        26 - u64::from(aborted),
        "what is aborted reaches nobody"
    );
    for origin in &origins {
        let id = origin.address.to_string();
        let failures = format!("proxy_backend_failures_total{{endpoint=\"{id}\",service=\"cart\"}}");
        assert_eq!(metric(&proxy, &failures).await?, 0.0, "endpoints are not blamed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_sent_beside_and_never_delay_nor_fail_nor_count_as_requests() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - name: mirrored
    mirror: { service: cart, version: v2, max_body_bytes: 1000, max_in_flight: 64 }
    split: [{ service: cart, version: v1 }]
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    let client = client()?;
    let post = async |bytes: usize| -> Result<String> {
        let request = client.post(format!("{}/echo?q=1", proxy.url)).body("x".repeat(bytes));
        Ok(request.send().await?.error_for_status()?.text().await?)
    };
    let mirrored = async |result: &str| {
        metric(&proxy, &format!("proxy_mirrored_requests_total{{result=\"{result}\"}}")).await
    };
    assert_eq!(post(500).await?.len(), 500);
    eventually("the copy is answered", Duration::from_secs(5), async || {
        Ok(mirrored("answered").await? == 1.0)
    })
    .await?;
    let head = origins[1].last_head().unwrap();
    assert_eq!((head.method.as_str(), head.uri.to_string()), ("POST", "/echo?q=1".to_owned()));
    assert_eq!(head.headers["x-lightsout-shadow"], "true");
    assert_eq!(head.headers["content-length"], "500");
    assert_eq!(head.headers["host"], origins[0].last_head().unwrap().headers["host"]);
    assert!(!origins[0].last_head().unwrap().headers.contains_key("x-lightsout-shadow"));

    assert_eq!(post(2_000).await?.len(), 2_000);
    assert_eq!(mirrored("body_too_long").await?, 1.0);

    origins[1].behave(Behaviour { failing_percent: 100, delay: Duration::from_millis(700), bears: 0 });
    let started = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(get(&proxy, "/", &[]).await?.0, 200);
    }
    assert!(started.elapsed() < Duration::from_millis(600), "nobody waits for a copy");
    eventually("all copies ended", Duration::from_secs(5), async || Ok(mirrored("answered").await? == 21.0))
        .await?;
    assert_eq!(origins[1].requests(), 21);
    assert_eq!(metric(&proxy, "proxy_requests_total").await?, 22.0);
    let id = origins[1].address.to_string();
    let asked = format!("proxy_backend_requests_total{{endpoint=\"{id}\",service=\"cart\"}}");
    assert_eq!(metric(&proxy, &asked).await?, 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_does_not_keep_up_gets_no_more_copies_than_its_bound() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let routes = "
  - name: mirrored
    mirror: { service: cart, version: v2, percent: 50, max_in_flight: 1 }
    split: [{ service: cart, version: v1 }]
";
    let proxy = proxy(dir.path(), &origins, routes).await?;
    origins[1].behave(Behaviour { delay: Duration::from_secs(1), ..Behaviour::default() });
    let client = client()?;
    for _ in 0..40 {
        assert_eq!(client.get(&proxy.url).send().await?.status(), 200);
    }
    let refused = metric(&proxy, "proxy_mirrored_requests_total{result=\"too_many\"}").await?;
    // Half of all were due, and each of the two workers may have one copy under way.
    assert!((17.0..=19.0).contains(&refused), "{refused} of 20");
    assert!(origins[1].requests() <= 2);
    Ok(())
}
