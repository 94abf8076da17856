//! Failed requests that are sent again, over real processes: which, how often, and within which budget.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use reqwest::Client;
use serde_json::json;
use tests::{Proxy, Reply, Scripted, admin_token};

/// One service `cart` over these endpoints, without breakers; `policy` are more top-level lines.
fn config(dir: &Path, endpoints: &[SocketAddr], policy: &str) -> Result<String> {
    admin_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 300, drain_timeout_ms: 5000 }\n\
         admin: { bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: proxy.state }\n\
         circuit_breaker: { enabled: false }\n",
    );
    writeln!(text, "{policy}\nupstream:\n  services:\n    cart:\n      endpoints:")?;
    for endpoint in endpoints {
        writeln!(text, "        - {{ address: 127.0.0.1, port: {} }}", endpoint.port())?;
    }
    Ok(text)
}

async fn proxy(dir: &Path, endpoints: &[SocketAddr], policy: &str) -> Result<Proxy> {
    Proxy::start(dir, &config(dir, endpoints, policy)?).await
}

/// The value of one metric, 0 where it is not there yet.
async fn metric(proxy: &Proxy, name: &str) -> Result<f64> {
    let text = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map(str::parse).transpose()?.unwrap_or(0.0))
}

async fn statuses(url: &str, count: usize) -> Result<Vec<u16>> {
    let client = Client::new();
    let ask = async || anyhow::Ok(client.get(url).send().await?.status().as_u16());
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(try_join_all((0..10.min(count - all.len())).map(|_| ask())).await?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_request_that_failed_is_sent_again_elsewhere_and_the_client_sees_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = Scripted::always(503, Duration::ZERO).await?;
    let good = Scripted::always(200, Duration::ZERO).await?;
    let policy = "retry: { max_attempts: 2, budget: { ratio: 1, min_per_second: 100 } }";
    let proxy = proxy(dir.path(), &[bad.address, good.address], policy).await?;
    ensure!(statuses(&proxy.url, 200).await?.iter().all(|status| *status == 200));
    ensure!((90..=110).contains(&bad.requests()), "the bad one was asked {} times", bad.requests());
    ensure!(good.requests() == 200, "the good one was asked {} times", good.requests());
    let retried = metric(&proxy, "proxy_retry_decisions_total{decision=\"retried\"}").await?;
    ensure!(retried == bad.requests() as f64, "{retried} retries");
    let of_bad = format!("proxy_backend_retried_total{{service=\"cart\",endpoint=\"{}\"}}", bad.address);
    ensure!(metric(&proxy, &of_bad).await? == retried);
    ensure!(metric(&proxy, "proxy_requests_total").await? == 200.0, "a request counts once");
    Ok(())
}

#[tokio::test]
async fn an_outage_is_not_multiplied_beyond_the_budget() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let down = [Scripted::always(503, Duration::ZERO).await?, Scripted::always(503, Duration::ZERO).await?];
    let policy = "retry: { max_attempts: 5, backoff_ms: 1, budget: { ratio: 0.2, min_per_second: 1 } }";
    let proxy = proxy(dir.path(), &down.each_ref().map(|origin| origin.address), policy).await?;
    ensure!(statuses(&proxy.url, 400).await?.iter().all(|status| *status == 503));
    let attempts: u64 = down.iter().map(Scripted::requests).sum();
    ensure!((440..=400 + 80 + 10).contains(&attempts), "{attempts} attempts for 400 requests");
    ensure!(metric(&proxy, "proxy_retry_decisions_total{decision=\"no_budget\"}").await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice_and_what_was_not_sent_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = Scripted::start(|_, _| async { Reply::BreakOff }).await?;
    let policy = "retry: { budget: { ratio: 1, min_per_second: 100 } }";
    let one = proxy(dir.path(), &[bad.address], policy).await?;
    let response = Client::new().post(&one.url).body("order").send().await?;
    ensure!(response.status() == 502 && bad.requests() == 1, "asked {} times", bad.requests());
    ensure!(metric(&one, "proxy_retry_decisions_total{decision=\"method\"}").await? == 1.0);
    // Nobody listens there: nothing can have been done.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let good =
        Scripted::start(
            |_, request| async move { Reply::Answer(200.try_into().unwrap(), request.into_body()) },
        );
    let good = good.await?;
    let dir = tempfile::tempdir()?;
    let two = proxy(dir.path(), &[nobody, good.address], policy).await?;
    for _ in 0..10 {
        let response = Client::new().post(&two.url).body("order").send().await?;
        ensure!(response.status() == 200 && response.text().await? == "order");
    }
    ensure!(good.requests() == 10);
    Ok(())
}

#[tokio::test]
async fn a_body_is_sent_again_whole_and_one_that_is_too_long_to_keep_is_sent_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = Scripted::always(503, Duration::ZERO).await?;
    let good =
        Scripted::start(
            |_, request| async move { Reply::Answer(200.try_into().unwrap(), request.into_body()) },
        );
    let good = good.await?;
    let policy = "retry: { max_body_bytes: 100000, budget: { ratio: 1, min_per_second: 100 } }";
    let proxy = proxy(dir.path(), &[bad.address, good.address], policy).await?;
    let client = Client::new();
    let bytes = |count: usize| Bytes::from((0..count).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    for _ in 0..4 {
        let response = client.put(&proxy.url).body(bytes(90_000)).send().await?;
        ensure!(response.status() == 200 && response.bytes().await? == bytes(90_000));
        // Chunked: how long it is shows only at its end.
        let pieces = bytes(90_000)
            .chunks(1_000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>();
        let body = reqwest::Body::wrap_stream(tokio_stream::iter(pieces));
        let response = client.put(&proxy.url).body(body).send().await?;
        ensure!(response.status() == 200 && response.bytes().await? == bytes(90_000));
    }
    let send = || client.put(&proxy.url).body(bytes(200_000)).send();
    let long = join_all((0..4).map(|_| send())).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(long.iter().any(|response| response.status() == 503), "a body that was not kept was sent again");
    ensure!(metric(&proxy, "proxy_retry_decisions_total{decision=\"body_too_long\"}").await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_for_another() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let stuck = Scripted::always(200, Duration::from_secs(60)).await?;
    let good = Scripted::always(200, Duration::ZERO).await?;
    let policy = "retry: { per_try_timeout_ms: 150, budget: { ratio: 1, min_per_second: 100 } }";
    let proxy = proxy(dir.path(), &[stuck.address, good.address], policy).await?;
    let began = Instant::now();
    ensure!(statuses(&proxy.url, 10).await?.iter().all(|status| *status == 200));
    ensure!(stuck.requests() > 0 && began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_late_request_is_hedged_and_the_first_answer_counts() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Never both at the same time.
    let origin = |slow: u64| {
        Scripted::start(move |n, _| async move {
            tokio::time::sleep(Duration::from_millis(if n % 50 == slow { 3_000 } else { 1 })).await;
            Reply::status(200)
        })
    };
    let origins = [origin(49).await?, origin(24).await?];
    let policy =
        "retry: { budget: { ratio: 0.2, min_per_second: 10 }, hedge: { percentile: 95, min_ms: 20 } }";
    let proxy = proxy(dir.path(), &origins.each_ref().map(|origin| origin.address), policy).await?;
    // Learns what is usual, each worker for itself.
    statuses(&proxy.url, 600).await?;
    let client = Client::new();
    let mut late = 0;
    for _ in 0..400 {
        let began = Instant::now();
        ensure!(client.get(&proxy.url).send().await?.status() == 200);
        late += u32::from(began.elapsed() > Duration::from_millis(1_500));
    }
    ensure!(late <= 2, "{late} of 400 requests were late: 8 would be without hedges");
    let won = metric(&proxy, "proxy_hedges_total{result=\"won\"}").await?;
    ensure!(won >= 5.0, "{won} hedges have won");
    let attempts: u64 = origins.iter().map(Scripted::requests).sum();
    ensure!(attempts <= 1_200, "{attempts} attempts for 1,000 requests");
    Ok(())
}

#[tokio::test]
async fn leases_tune_retries_timeout_and_algorithm_and_their_end_undoes_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bad = Scripted::always(503, Duration::ZERO).await?;
    let slow = Scripted::always(200, Duration::from_millis(400)).await?;
    let proxy = proxy(dir.path(), &[bad.address, slow.address], "").await?;
    let put = async |id: &str, kind: serde_json::Value| {
        let action = json!({"epoch": 1, "lease_ms": 60_000, "service": "cart", "reason": "test",
            "confidence": 1.0, "issued_by": "test", "kind": kind});
        let (status, answer) = proxy.ask("PUT", &format!("/v1/actions/{id}"), Some(&action)).await?;
        ensure!(status.is_success(), "{id}: {answer}");
        Ok(())
    };
    let before = proxy.status().await?.live_state_hash;
    ensure!(statuses(&proxy.url, 10).await?.contains(&503));
    put("retries", json!({"type": "set_retry_budget", "ratio": 1.0, "max_attempts": 2})).await?;
    ensure!(statuses(&proxy.url, 6).await? == [200; 6]);
    put("timeout", json!({"type": "set_timeout", "request_timeout_ms": 100})).await?;
    ensure!(statuses(&proxy.url, 6).await?.iter().all(|status| [503, 504].contains(status)));
    put("algorithm", json!({"type": "set_algorithm", "algorithm": "random"})).await?;
    let service = proxy.status().await?.services.into_iter().next().context("no service")?;
    ensure!(service.algorithm == "random");
    for id in ["algorithm", "timeout", "retries"] {
        let (status, answer) = proxy.ask("DELETE", &format!("/v1/actions/{id}?epoch=1"), None).await?;
        ensure!(status.is_success(), "{answer}");
    }
    ensure!(proxy.status().await?.live_state_hash == before);
    let after = statuses(&proxy.url, 10).await?;
    ensure!(after.contains(&503) && after.contains(&200), "{after:?}");
    Ok(())
}
