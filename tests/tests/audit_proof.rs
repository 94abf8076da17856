//! The audit log proves what happened: with the brain up, with it down, and after somebody lied.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Brain, hash_of_record, run, sqlite};

/// A brain's log with a few records in it; the brain has ended.
async fn log(dir: &Path) -> Result<()> {
    let mut brain = Brain::start(dir, "advisory").await?;
    brain.operator(&["mode", "observe"]).await?;
    brain.operator(&["freeze"]).await?;
    brain.operator(&["unfreeze"]).await?;
    assert!(brain.operator(&["audit", "verify"]).await?.contains("intact"), "verified while the brain runs");
    brain.process.signal(Signal::SIGTERM)?;
    assert_eq!(brain.process.ended().await?.code(), Some(0));
    Ok(())
}

async fn verify(dir: &Path) -> Result<(Option<i32>, String)> {
    let output = run("lightsout", &["audit", "verify", "--data-dir", "brain-data"], dir).await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_log_can_be_verified_by_anybody_with_sha256() -> Result<()> {
    let dir = tempfile::tempdir()?;
    log(dir.path()).await?;
    let exported =
        run("lightsout", &["audit", "export", "log.jsonl", "--data-dir", "brain-data"], dir.path()).await?;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let mut previous = "0".repeat(64);
    let text = std::fs::read_to_string(dir.path().join("log.jsonl"))?;
    assert!(text.lines().count() >= 4, "{text}");
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        assert_eq!(record["prev_hash"], previous.as_str());
        previous = hash_of_record(&record)?;
        assert_eq!(record["hash"], previous.as_str(), "{line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_is_found_and_the_first_bad_record_is_named() -> Result<()> {
    let lies = [
        ("UPDATE audit SET data = replace(data, 'observe', 'autonomous') WHERE seq = 2", "2"),
        ("UPDATE audit SET at = '2020-01-01T00:00:00Z' WHERE seq = 3", "3"),
        ("UPDATE audit SET actor = replace(actor, 'operator', 'somebody') WHERE seq = 2", "2"),
        ("DELETE FROM audit WHERE seq = 3", "3"),
    ];
    for (lie, first_bad) in lies {
        let dir = tempfile::tempdir()?;
        log(dir.path()).await?;
        assert_eq!(verify(dir.path()).await?.0, Some(0));
        assert!(sqlite(dir.path(), lie).await.is_err(), "the table itself refuses changes");
        // As somebody with the disk in hand would.
        let triggers = "SELECT group_concat('DROP TRIGGER ' || name || ';', ' ') FROM sqlite_master WHERE type = 'trigger'";
        let drop = sqlite(dir.path(), triggers).await?;
        sqlite(dir.path(), &format!("{drop} {lie}")).await?;
        let (code, answer) = verify(dir.path()).await?;
        assert_eq!(code, Some(1), "{lie}: {answer}");
        assert!(answer.contains(&format!("seq {first_bad}")), "{lie}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_stops_the_brain_with_one_message() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("brain-data"))?;
    std::fs::write(dir.path().join("brain-data/lightsout.db"), "this is no database, it is a shopping list")?;
    tests::admin_token(dir.path())?;
    std::fs::write(
        dir.path().join("brain.yaml"),
        "api: { port: 0 }\ntelemetry: { port: 0 }\ndata_dir: brain-data\n",
    )?;
    let output = run("lightsout", &["brain", "--config", "brain.yaml"], dir.path()).await?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("lightsout.db"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brains_do_not_share_a_store() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let _first = Brain::start(dir.path(), "advisory").await?;
    let second = tokio::time::timeout(
        Duration::from_secs(30),
        run("lightsout", &["brain", "--config", "brain.yaml"], dir.path()),
    )
    .await??;
    assert_eq!(second.status.code(), Some(1), "{}", String::from_utf8_lossy(&second.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_the_token_is_refused_and_an_operator_without_a_brain_is_told_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let client = reqwest::Client::new();
    for path in ["/v1/freeze", "/v1/unfreeze", "/v1/mode", "/v1/actions", "/v1/proposals/prop-1/approve"] {
        let answer = client.post(format!("{}{path}", brain.api)).json(&serde_json::json!({})).send().await?;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let alone = run("lightsout", &["status", "--url", "http://127.0.0.1:9"], dir.path()).await?;
    assert_eq!(alone.status.code(), Some(1));
    let message = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(message.contains("http://127.0.0.1:9") && message.lines().count() <= 3, "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_as_a_whole_does_not_agree_with_its_anchors() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let more = "audit: { anchor_path: anchors.jsonl, anchor_every_s: 1 }\n";
    let mut brain = Brain::start_on(dir.path(), "advisory", (0, 0), more).await?;
    brain.operator(&["mode", "observe"]).await?;
    tests::eventually("the head is anchored", Duration::from_secs(20), || async {
        let text = std::fs::read_to_string(dir.path().join("anchors.jsonl")).unwrap_or_default();
        Ok(text.lines().count() > 0)
    })
    .await?;
    let agreed = brain.operator(&["audit", "verify", "--anchors", "anchors.jsonl"]).await?;
    assert!(agreed.contains("agree with the log"), "{agreed}");
    brain.process.signal(Signal::SIGTERM)?;
    brain.process.ended().await?;
    // Another log, as whole as the first one, in its place.
    std::fs::remove_dir_all(dir.path().join("brain-data"))?;
    log(dir.path()).await?;
    let arguments = ["audit", "verify", "--data-dir", "brain-data", "--anchors", "anchors.jsonl"];
    let output = run("lightsout", &arguments, dir.path()).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hash was kept"), "{said}");
    Ok(())
}
