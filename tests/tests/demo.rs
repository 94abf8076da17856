//! `lightsout demo --once`: the whole night, unattended.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::binary;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::Mutex;

/// One demo at a time: each is a whole mesh under load, and three at once on two cores starve each other.
static STAGE: Mutex<()> = Mutex::const_new(());

async fn demo(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let _alone = STAGE.lock().await;
    let mut command = Command::new(binary("lightsout"));
    command.args(["demo", "--once", "--api-port", "0"]).args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(240), command.output())
        .await
        .context("the demo did not end")??;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_mends_a_gray_endpoint_and_tells_the_story() -> Result<()> {
    let (code, text) = demo(&["--fault", "gray-endpoint"]).await?;
    assert_eq!(code, Some(0), "{text}");
    for part in ["incident_opened", "eject_endpoint", "intact", "with the brain", "without"] {
        assert!(text.contains(part), "{part:?} is missing from:\n{text}");
    }
    Ok(())
}

/// What the demo prints for the person at the other terminal, taken at its word.
const WAITS: &str = "it waits for you: lightsout ";

#[tokio::test(flavor = "multi_thread")]
async fn in_advisory_mode_the_demo_waits_for_the_command_it_prints() -> Result<()> {
    let _alone = STAGE.lock().await;
    let mut command = Command::new(binary("lightsout"));
    command.args(["demo", "--once", "--api-port", "0", "--mode", "advisory", "--no-comparison"]);
    let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(demo.stdout.take().context("no standard output")?).lines();
    let mut text = String::new();
    let told = tokio::time::timeout(Duration::from_secs(240), async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, verb)) = line.split_once(WAITS) {
                assert!(!text.contains("took act-"), "it acted before anybody approved:\n{text}");
                let arguments: Vec<&str> = verb.split_whitespace().collect();
                let approved = Command::new(binary("lightsout")).args(arguments).output().await?;
                assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
            }
            text.push_str(&line);
            text.push('\n');
        }
        anyhow::Ok(demo.wait().await?)
    });
    let status = told.await.context("the demo did not end")??;
    assert!(text.contains(WAITS) && text.contains("nothing was done before a person approved"), "{text}");
    assert_eq!(status.code(), Some(0), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_does_nothing_where_nothing_is_wrong() -> Result<()> {
    let (code, text) = demo(&["--fault", "none"]).await?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    Ok(())
}
