//! What a brain was told, recorded while it runs and replayed afterwards.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config, run};

/// A mesh of one proxy under load, recorded to `file`, until the brain has named a sick endpoint.
async fn recorded(dir: &Path, file: &str) -> Result<Brain> {
    let origins = Origin::start_many(4).await?;
    let brain = Brain::start_with(dir, "observe", &["--record", file]).await?;
    let proxy = Proxy::start(dir, &proxy_config(dir, &origins, &brain.ai_section())?).await?;
    let load = Load::start(&proxy.url, 200)?;
    load.next(1_500).await;
    origins[1].behave(Behaviour { failing_percent: 60, ..Behaviour::default() });
    let named = async || Ok(!brain.list("/v1/incidents").await?.is_empty());
    eventually("an incident", Duration::from_secs(40), named).await?;
    Ok(brain)
}

/// What is said of a recording, and what is complained about.
async fn replay(dir: &Path, file: &str) -> Result<(String, String)> {
    let output = run("lightsout", &["replay", file, "--format", "json"], dir).await?;
    assert!(output.status.success(), "{output:?}");
    Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brains_own_recording_replays_whole_and_the_same_each_time() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut brain = recorded(dir.path(), "windows.jsonl.zst").await?;
    brain.process.signal(Signal::SIGTERM)?;
    assert!(brain.process.ended().await?.success());
    let (said, complaints) = replay(dir.path(), "windows.jsonl.zst").await?;
    assert_eq!(complaints, "", "nothing is skipped, refused or set aside");
    assert!(said.contains("\"bad_endpoint\""), "{said}");
    assert_eq!(replay(dir.path(), "windows.jsonl.zst").await?.0, said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_survives_the_brain_that_is_killed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut brain = recorded(dir.path(), "windows.jsonl").await?;
    brain.process.signal(Signal::SIGKILL)?;
    brain.process.ended().await?;
    let text = std::fs::read_to_string(dir.path().join("windows.jsonl"))?;
    assert!(text.ends_with('\n') && text.lines().count() > 5, "{} lines", text.lines().count());
    assert_eq!(replay(dir.path(), "windows.jsonl").await?.1, "");
    Ok(())
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_said_at_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(
        dir.path().join("brain.yaml"),
        "api: { port: 0 }\ntelemetry: { port: 0 }\ndata_dir: data\n",
    )?;
    let arguments = ["brain", "--config", "brain.yaml", "--record", "absent/w.jsonl"];
    let output = run("lightsout", &arguments, dir.path()).await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("cannot record to absent/w.jsonl"));
    Ok(())
}
