//! `lightsout demo --once`: the whole night, unattended.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use tests::binary;
use tokio::process::Command;

async fn demo(arguments: &[&str]) -> Result<(Option<i32>, String)> {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_does_nothing_where_nothing_is_wrong() -> Result<()> {
    let (code, text) = demo(&["--fault", "none"]).await?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    Ok(())
}
