//! How much a service is asked at once, and for how long it is waited for, over real processes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use protocol::snapshot::BreakerState;
use reqwest::{Client, Response};
use tests::{Proxy, Reply, Scripted, admin_token};
use tokio::sync::Semaphore;

/// One service `cart` over these endpoints; `service` are more of its lines, `policy` more top-level ones.
fn config(dir: &Path, endpoints: &[SocketAddr], service: &str, policy: &str) -> Result<String> {
    admin_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 300, drain_timeout_ms: 5000 }\n\
         admin: { bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: proxy.state }\n",
    );
    writeln!(text, "{policy}\nupstream:\n  services:\n    cart:\n{service}\n      endpoints:")?;
    for endpoint in endpoints {
        writeln!(text, "        - {{ address: 127.0.0.1, port: {} }}", endpoint.port())?;
    }
    Ok(text)
}

async fn many(url: &str, count: usize, priority: &str) -> Result<Vec<Response>> {
    let client = Client::new();
    let ask = || client.get(url).header("x-priority", priority).timeout(Duration::from_secs(20)).send();
    Ok(try_join_all((0..count).map(|_| ask())).await?)
}

fn count(responses: &[Response], status: u16) -> usize {
    responses.iter().filter(|response| response.status() == status).count()
}

#[tokio::test]
async fn what_finds_no_place_waits_and_what_finds_no_room_to_wait_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Scripted::always(200, Duration::from_millis(500)).await?;
    let limits = "      limits: { max_requests: 4, max_pending: 3, max_wait_ms: 10000 }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &[origin.address], limits, "")?).await?;
    let responses = many(&proxy.url, 12, "").await?;
    ensure!((count(&responses, 200), count(&responses, 503)) == (7, 5), "{responses:?}");
    ensure!(origin.peak() == 4, "{} at once", origin.peak());
    let refused = responses.iter().find(|response| response.status() == 503);
    ensure!(refused.is_some_and(|response| response.headers()["retry-after"] == "1"));
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    ensure!(metrics.contains("proxy_requests_refused_total{reason=\"limit_requests\"} 5"), "{metrics}");
    ensure!(metrics.contains("proxy_service_request_limit{service=\"cart\"} 4"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_has_as_many_as_it_may_is_passed_over() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = [
        Scripted::always(200, Duration::from_millis(500)).await?,
        Scripted::always(200, Duration::from_millis(500)).await?,
    ];
    let limits = "      limits: { max_endpoint_requests: 3 }";
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &addresses, limits, "")?).await?;
    let responses = many(&proxy.url, 10, "").await?;
    ensure!((count(&responses, 200), count(&responses, 503)) == (6, 4), "{responses:?}");
    ensure!(origins.iter().all(|origin| origin.peak() == 3));
    Ok(())
}

#[tokio::test]
async fn an_endpoint_gets_no_more_connections_than_it_may_have() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Scripted::always(200, Duration::from_millis(500)).await?;
    let limits = "      limits: { max_endpoint_connections: 4 }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &[origin.address], limits, "")?).await?;
    for _ in 0..3 {
        let responses = many(&proxy.url, 9, "").await?;
        ensure!((count(&responses, 200), count(&responses, 503)) == (4, 5), "{responses:?}");
    }
    let endpoint = proxy.status().await?.services.remove(0).endpoints.remove(0);
    ensure!(endpoint.breaker == BreakerState::Closed, "a full endpoint is no sick one");
    Ok(())
}

/// An endpoint that does eight requests at once, in 30 ms each; the others wait inside it. Slow enough that it, not
/// the machine, is what is overloaded: one that is busy with other things too does as many in the same time.
async fn of_eight() -> Result<Scripted> {
    let places = Arc::new(Semaphore::new(8));
    Scripted::start(move |_, _| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            Reply::status(200)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_finds_itself_keeps_the_queue_short_and_lets_the_critical_through() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = of_eight().await?;
    let limits = "      limits: { priority_header: x-priority, adaptive: { min: 4, max: 500 } }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &[origin.address], limits, "")?).await?;
    let users = async |count: usize, priority: &'static str, until: Instant| {
        let one = async |client: Client| {
            let (mut served, mut refused) = (0, 0);
            while Instant::now() < until {
                let status = client.get(&proxy.url).header("x-priority", priority).send().await?.status();
                if status == 200 {
                    served += 1;
                } else {
                    refused += 1;
                    // Who is refused comes back soon: more is offered than can be done, and refusals cost the machine little.
                    tokio::time::sleep(Duration::from_millis(150)).await;
                }
            }
            anyhow::Ok((served, refused))
        };
        let client = Client::new();
        let all = join_all((0..count).map(|_| one(client.clone()))).await;
        let sums = all.into_iter().collect::<Result<Vec<_>>>()?;
        anyhow::Ok(sums.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d)))
    };
    let until = Instant::now() + Duration::from_secs(6);
    let (normal, critical) = tokio::try_join!(users(60, "normal", until), users(2, "critical", until))?;
    ensure!(normal.1 > normal.0 / 10, "nothing was refused: {normal:?}");
    let share = f64::from(critical.0) / f64::from(critical.0 + critical.1);
    ensure!(share > 0.95, "of the critical {critical:?}, of the normal {normal:?}");
    // Once it has found itself: a burst finds a queue far shorter than the sixty who want to be in it.
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let limit =
        metrics.lines().find_map(|l| l.strip_prefix("proxy_service_request_limit{service=\"cart\"} "));
    let limit: f64 = limit.unwrap_or("500").parse()?;
    ensure!((4.0..=32.0).contains(&limit), "the limit is {limit}");
    Ok(())
}

#[tokio::test]
async fn a_route_may_be_more_patient_than_its_service_and_a_body_that_stalls_is_cut() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Scripted::start(|_, request| async move {
        match request.uri().path() {
            "/stall" => Reply::Stall,
            _ => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                Reply::status(200)
            }
        }
    })
    .await?;
    let service = "      request_timeout_ms: 200\n      idle_timeout_ms: 300";
    let routes = "routes:\n  - { path: { prefix: /export }, request_timeout_ms: 10000, split: [{ service: cart }] }\n  \
                  - { split: [{ service: cart }] }";
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &[origin.address], service, routes)?).await?;
    ensure!(reqwest::get(format!("{}/cart", proxy.url)).await?.status() == 504);
    ensure!(reqwest::get(format!("{}/export", proxy.url)).await?.status() == 200);
    let (began, stalls) = (Instant::now(), reqwest::get(format!("{}/stall", proxy.url)).await?);
    ensure!(stalls.status() == 200 && stalls.text().await.is_err(), "a body that stalls must break off");
    ensure!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    Ok(())
}
