//! Who gets which request, over real processes: shares by weight, keys that stay, sessions that stick.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::snapshot::{BreakerState, Health};
use reqwest::{Client, Response};
use tests::{Behaviour, Origin, Proxy, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// For what takes real time.
const WITHIN: Duration = Duration::from_secs(20);

/// Enough that what moves is not what happens to be asked.
const KEYS: usize = 1_500;

/// One service `cart` over these origins with these weights; `policy` are more top-level lines.
fn config(dir: &Path, origins: &[(&Origin, u32)], policy: &str) -> Result<String> {
    admin_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 3, drain_ms: 300, drain_timeout_ms: 5000 }\n\
         admin: { bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: proxy.state }\n",
    );
    writeln!(text, "{policy}\nupstream:\n  services:\n    cart:\n      endpoints:")?;
    for (origin, weight) in origins {
        let port = origin.address.port();
        writeln!(text, "        - {{ address: 127.0.0.1, port: {port}, weight: {weight} }}")?;
    }
    Ok(text)
}

fn even(origins: &[Origin]) -> Vec<(&Origin, u32)> {
    origins.iter().map(|origin| (origin, 100)).collect()
}

fn counts(origins: &[Origin]) -> Vec<u64> {
    origins.iter().map(Origin::requests).collect()
}

/// Which of the origins answers this request.
async fn who(origins: &[Origin], request: reqwest::RequestBuilder) -> Result<(usize, Response)> {
    let before = counts(origins);
    let response = request.send().await?;
    ensure!(response.status().is_success(), "answered {}", response.status());
    let at = origins.iter().zip(before).position(|(origin, before)| origin.requests() > before);
    Ok((at.context("nobody was asked")?, response))
}

/// Sends so many requests over some connections of their own.
async fn send(url: &str, requests: usize, connections: usize) -> Result<()> {
    let one = async || {
        let client = Client::builder().pool_max_idle_per_host(1).build()?;
        for _ in 0..requests / connections {
            let status = client.get(url).send().await?.error_for_status()?;
            let _body = status.bytes().await?;
        }
        anyhow::Ok(())
    };
    try_join_all((0..connections).map(|_| one())).await?;
    Ok(())
}

async fn weighted_shares(policy: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(3).await?;
    let weights = [70, 20, 10];
    let weighted: Vec<_> = origins.iter().zip(weights).collect();
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &weighted, policy)?).await?;
    send(&proxy.url, 10_000, 16).await?;
    for (origin, weight) in weighted {
        let share = origin.requests() as f64 / 100.0;
        ensure!((share - f64::from(weight)).abs() <= 1.0, "{share} % for {weight} %: {:?}", counts(&origins));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_over_three_workers_are_within_one_percent_of_their_weights() -> Result<()> {
    weighted_shares("load_balancing: { algorithm: weighted_round_robin }").await?;
    weighted_shares("load_balancing: { algorithm: random, choices: 1 }").await
}

async fn owners(origins: &[Origin], proxy: &Proxy, keys: usize) -> Result<Vec<usize>> {
    let client = Client::new();
    let mut owners = Vec::new();
    for key in 0..keys {
        owners.push(who(origins, client.get(&proxy.url).header("x-user", format!("u{key}"))).await?.0);
    }
    Ok(owners)
}

#[tokio::test]
async fn when_an_endpoint_leaves_its_keys_move_and_few_others() -> Result<()> {
    for hash in ["ring", "maglev"] {
        let dir = tempfile::tempdir()?;
        let origins = Origin::start_many(4).await?;
        let policy = format!(
            "load_balancing: {{ algorithm: consistent_hash, hash: {hash}, hash_key: 'header:x-user' }}"
        );
        let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), &policy)?).await?;
        let before = owners(&origins, &proxy, KEYS).await?;
        ensure!(before == owners(&origins, &proxy, KEYS).await?, "a key has stayed nowhere");
        let rest: Vec<_> =
            even(&origins).into_iter().enumerate().filter(|(n, _)| *n != 2).map(|e| e.1).collect();
        std::fs::write(dir.path().join("proxy.yaml"), config(dir.path(), &rest, &policy)?)?;
        let (status, answer) = proxy.ask("POST", "/reload", None).await?;
        ensure!(status.is_success(), "{answer}");
        let after = owners(&origins, &proxy, KEYS).await?;
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / KEYS as f64;
        ensure!(!after.contains(&2), "who has left is asked");
        ensure!(moved <= 0.25 + 0.05, "{hash}: {moved} have moved");
    }
    Ok(())
}

#[tokio::test]
async fn a_cookie_keeps_a_client_with_its_endpoint_until_that_is_out() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(3).await?;
    let policy = "load_balancing: { sticky_sessions: { cookie: sid, ttl_ms: 60000, secure: true } }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), policy)?).await?;
    let client = Client::new();
    let ask = |cookie: &str| client.get(&proxy.url).header("cookie", format!("a=b; {cookie}"));
    let (home, response) = who(&origins, client.get(&proxy.url)).await?;
    let given = response.headers()["set-cookie"].to_str()?.to_owned();
    ensure!(given.ends_with("; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"), "{given}");
    let cookie = given.split(';').next().context("no value")?.to_owned();
    ensure!(!cookie.contains(&origins[home].address.port().to_string()), "{cookie} shows the inside");
    for _ in 0..10 {
        let (at, response) = who(&origins, ask(&cookie)).await?;
        ensure!(at == home && !response.headers().contains_key("set-cookie"));
    }
    // Out by a lease: even the true cookie does not choose it.
    let endpoint = origins[home].address.to_string();
    let action = serde_json::json!({"epoch": 1, "lease_ms": 60_000, "service": "cart", "reason": "test",
        "confidence": 1.0, "issued_by": "test", "kind": {"type": "eject_endpoint", "endpoint": endpoint}});
    let (status, answer) = proxy.ask("PUT", "/v1/actions/out", Some(&action)).await?;
    ensure!(status.is_success(), "{answer}");
    let (new_home, response) = who(&origins, ask(&cookie)).await?;
    ensure!(new_home != home);
    let moved = response.headers()["set-cookie"].to_str()?.split(';').next().context("no value")?.to_owned();
    ensure!(moved != cookie);
    for _ in 0..10 {
        ensure!(who(&origins, ask(&moved)).await?.0 == new_home);
    }
    // One that nobody was given leads nowhere in particular, and is replaced.
    let (_, response) = who(&origins, ask("sid=0123456789abcdef")).await?;
    ensure!(response.headers().contains_key("set-cookie"));
    Ok(())
}

#[tokio::test]
async fn a_header_or_an_address_keeps_a_client_with_its_endpoint() -> Result<()> {
    for key in ["header:X-Session", "X-Session", "cookie:app", "query:s", "ip"] {
        let dir = tempfile::tempdir()?;
        let origins = Origin::start_many(3).await?;
        let policy = format!("load_balancing: {{ sticky_sessions: true, session_affinity_key: '{key}' }}");
        let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), &policy)?).await?;
        let client = Client::new();
        let mut homes = Vec::new();
        for user in 0..12 {
            let url = format!("{}/?s={user}", proxy.url);
            let ask = || client.get(&url).header("x-session", user).header("cookie", format!("app={user}"));
            let (home, response) = who(&origins, ask()).await?;
            ensure!(!response.headers().contains_key("set-cookie"), "{key}: the client has a key of its own");
            for _ in 0..5 {
                ensure!(who(&origins, ask()).await?.0 == home, "{key}");
            }
            homes.push(home);
        }
        let all_alike = homes.iter().all(|home| *home == homes[0]);
        ensure!(all_alike == (key == "ip"), "{key}: {homes:?}");
    }
    Ok(())
}

/// Sends one after the other; how many were answered 5xx.
async fn failures(url: &str, requests: usize) -> Result<usize> {
    let client = Client::new();
    let mut failures = 0;
    for _ in 0..requests {
        failures += usize::from(client.get(url).send().await?.status().is_server_error());
    }
    Ok(failures)
}

#[tokio::test]
async fn a_breaker_trips_by_rate_keeps_its_state_over_a_reload_and_recovers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(2).await?;
    let policy = "circuit_breaker: { failure_threshold: 1000, rate: 0.5, window: 20, min_requests: 20, \
                  recovery_timeout_ms: 2000, half_open_max_calls: 1, success_threshold: 2 }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), policy)?).await?;
    let breaker = async || anyhow::Ok(proxy.endpoint(&origins[0]).await?.breaker);
    origins[0].behave(Behaviour { failing_percent: 40, ..Behaviour::default() });
    failures(&proxy.url, 200).await?;
    ensure!(breaker().await? == BreakerState::Closed, "40 % are too few");
    origins[0].behave(Behaviour { failing_percent: 60, ..Behaviour::default() });
    failures(&proxy.url, 60).await?;
    ensure!(breaker().await? == BreakerState::Open, "60 % are enough");
    let before = origins[0].requests();
    ensure!(
        failures(&proxy.url, 50).await? == 0 && origins[0].requests() == before,
        "it is asked while open"
    );
    let other: Vec<_> = origins.iter().map(|origin| (origin, 50)).collect();
    std::fs::write(dir.path().join("proxy.yaml"), config(dir.path(), &other, policy)?)?;
    let (status, answer) = proxy.ask("POST", "/reload", None).await?;
    ensure!(status.is_success(), "{answer}");
    ensure!(breaker().await? == BreakerState::Open, "a reload has closed it");
    origins[0].behave(Behaviour::default());
    eventually("the breaker closes", WITHIN, async || {
        ensure!(failures(&proxy.url, 4).await? == 0, "what the breaker lets through fails");
        Ok(breaker().await? == BreakerState::Closed)
    })
    .await
}

#[tokio::test]
async fn an_outlier_is_left_out_for_a_while_and_comes_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(3).await?;
    let policy = "circuit_breaker: { enabled: false }\n\
                  outlier_detection: { consecutive_5xx: 3, base_ejection_ms: 1500, interval_ms: 60000 }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), policy)?).await?;
    origins[1].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    failures(&proxy.url, 9).await?;
    eventually("the outlier is out", WITHIN, async || {
        Ok(proxy.endpoint(&origins[1]).await?.outlier.is_some_and(|o| o.cause == "consecutive_5xx"))
    })
    .await?;
    let before = origins[1].requests();
    ensure!(failures(&proxy.url, 60).await? == 0 && origins[1].requests() == before, "it is asked");
    let status = proxy.endpoint(&origins[1]).await?;
    ensure!(!status.ejected && status.breaker == BreakerState::Closed, "a lease or a breaker has it out");
    origins[1].behave(Behaviour::default());
    eventually("the outlier is back", WITHIN, async || {
        Ok(proxy.endpoint(&origins[1]).await?.outlier.is_none())
    })
    .await?;
    failures(&proxy.url, 9).await?;
    ensure!(origins[1].requests() >= before + 3, "who is back is asked again");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let port = origins[1].address.port();
    let line = format!("proxy_outlier_ejections_total{{service=\"cart\",endpoint=\"127.0.0.1:{port}\"}} 1");
    ensure!(metrics.contains(&line), "{line} is not in {metrics}");
    Ok(())
}

#[tokio::test]
async fn who_succeeds_far_less_than_its_siblings_is_left_out_though_it_never_fails_in_a_row() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(6).await?;
    let policy = "circuit_breaker: { enabled: false }\n\
                  outlier_detection: { consecutive_5xx: 0, interval_ms: 500, base_ejection_ms: 60000, \
                  success_rate_min_requests: 20, success_rate_min_endpoints: 5, max_ejection_percent: 20 }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), policy)?).await?;
    origins[4].behave(Behaviour { failing_percent: 50, ..Behaviour::default() });
    eventually("the outlier is out", WITHIN, async || {
        failures(&proxy.url, 240).await?;
        Ok(proxy.endpoint(&origins[4]).await?.outlier.is_some_and(|o| o.cause == "success_rate"))
    })
    .await?;
    for origin in origins.iter().enumerate().filter(|(n, _)| *n != 4).map(|(_, origin)| origin) {
        ensure!(proxy.endpoint(origin).await?.outlier.is_none(), "one that is fine is out");
    }
    ensure!(failures(&proxy.url, 60).await? == 0);
    Ok(())
}

#[tokio::test]
async fn a_key_that_everyone_asks_for_goes_on_to_the_next_when_its_endpoint_has_more_than_its_share()
-> Result<()> {
    for (factor, most) in [("", 24), (", hash_load_factor: 1.25", 13)] {
        let dir = tempfile::tempdir()?;
        let origins = Origin::start_many(3).await?;
        let slow = Behaviour { delay: Duration::from_millis(600), ..Behaviour::default() };
        origins.iter().for_each(|origin| origin.behave(slow));
        let policy =
            format!("load_balancing: {{ algorithm: consistent_hash, hash_key: 'header:x-user'{factor} }}");
        let proxy = Proxy::start(dir.path(), &config(dir.path(), &even(&origins), &policy)?).await?;
        let client = Client::new();
        let ask = || client.get(&proxy.url).header("x-user", "celebrity").send();
        try_join_all((0..24).map(|_| ask())).await?;
        let busiest = counts(&origins).into_iter().max().unwrap_or(0);
        ensure!(
            busiest <= most && (factor.is_empty() == (busiest == 24)),
            "{factor}: {:?}",
            counts(&origins)
        );
    }
    Ok(())
}

/// An endpoint that refuses everyone at once, and counts them.
async fn refusing() -> Result<(u16, Arc<AtomicU64>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (port, refused) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&refused);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let answer = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
                    let _sent = stream.write_all(answer).await;
                }
            });
        }
    });
    Ok((port, refused))
}

#[tokio::test]
async fn who_refuses_quickly_does_not_look_quick() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(2).await?;
    origins[0].behave(Behaviour { delay: Duration::from_millis(20), ..Behaviour::default() });
    let (port, refused) = refusing().await?;
    let text = config(dir.path(), &even(&origins), "load_balancing: { algorithm: peak_ewma }")?;
    let text = text.replace(&origins[1].address.port().to_string(), &port.to_string());
    let proxy = Proxy::start(dir.path(), &text).await?;
    let one = async || {
        let client = Client::new();
        for _ in 0..50 {
            let _answered = client.get(&proxy.url).send().await?;
        }
        anyhow::Ok(())
    };
    try_join_all((0..4).map(|_| one())).await?;
    let (refused, answered) = (refused.load(Ordering::Relaxed), origins[0].requests());
    ensure!(refused + answered == 200 && refused <= 20, "{refused} of 200 went where all are refused");
    Ok(())
}

#[tokio::test]
async fn the_own_zone_comes_first_and_hands_on_what_it_cannot_carry() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut origins = Origin::start_many(4).await?;
    let mut text = config(dir.path(), &even(&origins), "load_balancing: { zone: here }")?;
    for (n, origin) in origins.iter().enumerate() {
        let (port, zone) = (origin.address.port(), if n < 2 { "here" } else { "there" });
        text = text.replace(&format!("port: {port},"), &format!("port: {port}, zone: {zone},"));
    }
    text.push_str(
        "      health_check: { interval_ms: 100, timeout_ms: 100, unhealthy_threshold: 2, path: /health }\n",
    );
    let proxy = Proxy::start(dir.path(), &text).await?;
    ensure!(failures(&proxy.url, 100).await? == 0);
    ensure!(origins[2].requests() + origins[3].requests() == 0, "others are asked: {:?}", counts(&origins));
    let gone = origins.remove(0);
    let address = gone.address.to_string();
    drop(gone);
    eventually("the endpoint is unhealthy", WITHIN, async || {
        let endpoints = proxy.status().await?.services.remove(0).endpoints;
        Ok(endpoints.iter().any(|e| e.endpoint.as_str() == address && e.health == Health::Unhealthy))
    })
    .await?;
    let before = counts(&origins);
    ensure!(failures(&proxy.url, 1_000).await? == 0);
    let stayed = origins[0].requests() - before[0];
    ensure!((690..=710).contains(&stayed), "{stayed} of 1000 stayed, where half the zone may carry 70 %");
    Ok(())
}
