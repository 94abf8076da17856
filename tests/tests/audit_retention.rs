//! What a brain removes from its audit log, it removes as its policy says, under a tombstone that it signed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Brain, eventually, hash_of_record, run, sqlite};

async fn verify(dir: &Path) -> Result<(Option<i32>, String)> {
    let output = run("lightsout", &["audit", "verify", "--data-dir", "brain-data"], dir).await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

async fn stop(mut brain: Brain) -> Result<()> {
    brain.process.signal(Signal::SIGTERM)?;
    assert_eq!(brain.process.ended().await?.code(), Some(0));
    Ok(())
}

/// A log of a brain that was frozen, has ended, and was written years ago: the same records with other
/// instants, chained anew.
async fn old_log(dir: &Path) -> Result<u64> {
    let brain = Brain::start(dir, "advisory").await?;
    brain.operator(&["mode", "observe"]).await?;
    brain.operator(&["freeze"]).await?;
    stop(brain).await?;
    let arguments = ["audit", "export", "log.jsonl", "--data-dir", "brain-data"];
    assert!(run("lightsout", &arguments, dir).await?.status.success());
    let triggers =
        "SELECT group_concat('DROP TRIGGER ' || name || ';', ' ') FROM sqlite_master WHERE type = 'trigger'";
    let definitions = "SELECT group_concat(sql || ';', ' ') FROM sqlite_master WHERE type = 'trigger'";
    let (triggers, definitions) = (sqlite(dir, triggers).await?, sqlite(dir, definitions).await?);
    let (mut script, mut previous, mut last) = (triggers, "0".repeat(64), 0);
    for line in std::fs::read_to_string(dir.join("log.jsonl"))?.lines() {
        let mut record: Value = serde_json::from_str(line)?;
        record["at"] = "2020-02-02T02:02:02.222Z".into();
        record["prev_hash"] = previous.into();
        previous = hash_of_record(&record)?;
        last = record["seq"].as_u64().context("no seq")?;
        let (at, before) = (&record["at"], &record["prev_hash"]);
        script.push_str(
            &format!(
                "UPDATE audit SET at = {at}, prev_hash = {before}, hash = '{previous}' WHERE seq = {last};"
            )
            .replace('"', "'"),
        );
    }
    script
        .push_str(&format!("UPDATE meta SET value = '{last} {previous}' WHERE key = 'head'; {definitions}"));
    sqlite(dir, &script).await?;
    let (code, said) = verify(dir).await?;
    assert_eq!(code, Some(0), "the old log is whole: {said}");
    Ok(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_under_a_signed_tombstone_and_the_log_stays_whole() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let removed = old_log(dir.path()).await?;
    let brain = Brain::start_on(dir.path(), "advisory", (0, 0), "audit: { keep_days: 30 }\n").await?;
    eventually("the old records are gone", Duration::from_secs(20), || async {
        Ok(brain.story().await?.contains(&"tombstone".to_owned()))
    })
    .await?;
    let said = brain.operator(&["audit", "verify"]).await?;
    assert!(said.contains(&format!("records 1 to {removed} were removed")), "{said}");
    assert!(brain.operator(&["status"]).await?.contains("frozen"), "a freeze outlives its record");
    stop(brain).await?;
    let brain = Brain::start_on(dir.path(), "advisory", (0, 0), "audit: { keep_days: 30 }\n").await?;
    eventually("it is still frozen after the next restart", Duration::from_secs(20), || async {
        Ok(brain.operator(&["status"]).await?.contains("frozen"))
    })
    .await?;
    assert_eq!(verify(dir.path()).await?.0, Some(0), "and with the brain asked by nobody");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_tombstone_is_found() -> Result<()> {
    let dir = tempfile::tempdir()?;
    old_log(dir.path()).await?;
    let brain = Brain::start_on(dir.path(), "advisory", (0, 0), "audit: { keep_days: 30 }\n").await?;
    eventually("the old records are gone", Duration::from_secs(20), || async {
        Ok(brain.story().await?.contains(&"tombstone".to_owned()))
    })
    .await?;
    stop(brain).await?;
    assert_eq!(verify(dir.path()).await?.0, Some(0));
    let refused = sqlite(dir.path(), "DELETE FROM audit").await;
    assert!(refused.is_err(), "the table lets go only of what its tombstone names");
    // Another key in the place of the one that signed.
    let key = dir.path().join("brain-data/audit.key");
    let ours = std::fs::read_to_string(&key)?;
    std::fs::write(&key, ours.chars().rev().collect::<String>().trim())?;
    let (code, said) = verify(dir.path()).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not signed by this log's key"), "{said}");
    Ok(())
}
