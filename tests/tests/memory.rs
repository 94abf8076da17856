//! A brain that is killed and started again is not blind.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, policies, proxy_config};

/// Judges a service by its own past after 60 s instead of 300, so that the test is short.
const DETECTION: &str = "version: 1\nservice: { min_learned_s: 60 }\n";

/// A brain at the same addresses as its earlier life, with policies of the test's own.
async fn brain(dir: &Path, ports: (u16, u16)) -> Result<Brain> {
    policies(dir, |file, text| if file == "detection.yaml" { DETECTION.to_owned() } else { text })?;
    Brain::start_on(dir, "observe", ports, "policies_dir: policies\n").await
}

async fn learned_s(brain: &Brain) -> Result<u64> {
    let status: Value = reqwest::get(format!("{}/v1/services", brain.api)).await?.json().await?;
    let services = status["items"].as_array().cloned().unwrap_or_default();
    Ok(services.iter().filter_map(|s| s["learned_s"].as_u64()).max().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_brain_goes_on_with_what_it_had_learned() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(3).await?;
    let mut first = brain(dir.path(), (0, 0)).await?;
    let port = |key: &str| -> u16 { first.process.address(key).rsplit(':').next().unwrap().parse().unwrap() };
    let ports = (port("api"), port("telemetry"));
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &first.ai_section())?).await?;
    let _load = Load::start(&proxy.url, 200)?;
    let learned = async || Ok(learned_s(&first).await? >= 80);
    // A machine that stops for a moment is no quiet traffic, nor is what the brain then looks at for a minute.
    eventually("80 s of quiet traffic", Duration::from_secs(400), learned).await?;
    first.process.signal(Signal::SIGKILL)?;
    first.process.ended().await?;

    let second = brain(dir.path(), ports).await?;
    let met = async || Ok(learned_s(&second).await? >= 60);
    eventually("the service to be met again", Duration::from_secs(15), met).await?;
    for origin in &origins {
        origin.behave(Behaviour { failing_percent: 20, ..Behaviour::default() });
    }
    let named = async || {
        let incidents = second.list("/v1/incidents").await?;
        Ok(incidents.iter().any(|incident| incident["cause"]["kind"] == "service"))
    };
    // Far less than the 60 s that a brain without memory needs before it says anything of the kind.
    eventually("an incident about the service", Duration::from_secs(25), named).await
}
