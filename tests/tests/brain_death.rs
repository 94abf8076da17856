//! The brain is killed in the middle of a treatment: nobody notices, and the proxy lets go by itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_brain_adds_no_failed_request_and_its_leases_end_in_time() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(5).await?;
    let mut brain = Brain::start(dir.path(), "autonomous").await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    let load = Load::start(&proxy.url, 200)?;
    load.next(2_000).await;
    origins[4].behave(Behaviour { failing_percent: 50, ..Behaviour::default() });
    eventually("the sick endpoint is ejected", Duration::from_secs(20), || async {
        Ok(proxy.endpoint(&origins[4]).await?.ejected)
    })
    .await
    .with_context(|| brain.process.log())?;
    // From here on nothing but the brain's death could fail a request.
    origins[4].behave(Behaviour::default());
    load.next(400).await;

    let (_, leases) = proxy.ask("GET", "/v1/actions", None).await?;
    let lease_ms = leases["items"][0]["lease_ms"].as_i64().context("no lease")?;
    let before = load.tally();
    brain.process.signal(Signal::SIGKILL)?;
    brain.process.ended().await?;
    let died = Timestamp::now();
    let (_, leases) = proxy.ask("GET", "/v1/actions", None).await?;
    let expiries =
        leases["items"].as_array().context("no list")?.iter().filter_map(|l| l["expires_at"].as_str());
    let last = expiries.map(str::parse::<Timestamp>).collect::<Result<Vec<_>, _>>()?.into_iter().max();
    let last = last.context("the lease was gone before the brain was")?;
    assert!(last.as_millisecond() - died.as_millisecond() <= lease_ms, "a lease outlives its length");

    eventually("every lease is gone", Duration::from_millis(lease_ms as u64 + 5_000), || async {
        Ok(proxy.status().await?.leases.is_empty())
    })
    .await?;
    let late_ms = Timestamp::now().as_millisecond() - last.as_millisecond();
    assert!(late_ms <= 1_000, "the last lease ended {late_ms} ms late");
    load.next(400).await;
    let meanwhile = load.tally().since(before);
    assert_eq!(meanwhile.failed, 0, "of {} requests since the brain died", meanwhile.requests);
    assert!(!proxy.endpoint(&origins[4]).await?.ejected);

    // A second brain on the same store comes back above the first one's epoch.
    let reborn = Brain::start(dir.path(), "autonomous").await?;
    let status: Value = reqwest::get(format!("{}/v1/status", reborn.api)).await?.json().await?;
    assert!(status["epoch"].as_u64() > Some(proxy.status().await?.epoch.0), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_whose_brain_never_existed_serves_as_if_there_were_none() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(2).await?;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let more = format!(
        "ai: {{ enabled: true, brain: \"http://{nobody}\", token_path: mesh.token, window_ms: 250 }}\n"
    );
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &more)?).await?;
    let load = Load::start(&proxy.url, 200)?;
    assert_eq!(load.next(2_500).await.failed, 0);
    eventually("dropped windows are counted", Duration::from_secs(30), || async {
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let line = metrics.lines().find(|l| l.starts_with("proxy_telemetry_windows_dropped_total"));
        Ok(line.is_some_and(|l| !l.ends_with(" 0")))
    })
    .await
}
