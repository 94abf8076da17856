//! The console, driven in a real browser before `lightsout demo`; and what a program without it says.
//!
//! The browser's steps stand in `console/browser/test.mjs`. They need what `make console` and `make setup` bring:
//! where that is not there the test says so and passes, unless `LIGHTSOUT_CONSOLE_TESTS=required`, as in `make test`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Brain, binary};
use tokio::process::Command;

/// On an idle machine it takes one minute.
const AT_MOST: Duration = Duration::from_secs(720);
/// Everything over the wire, zipped.
const MAX_PAGE_BYTES: usize = 150 * 1024;

fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../console")
}

/// Whether the browser's steps can run here; where they must and cannot, the test fails.
fn is_ready() -> bool {
    let parts = ["node_modules/.package-lock.json", "dist/index.html"];
    let missing: Vec<&str> = parts.into_iter().filter(|part| !console().join(part).exists()).collect();
    let required = std::env::var_os("LIGHTSOUT_CONSOLE_TESTS").is_some();
    assert!(missing.is_empty() || !required, "console/{missing:?} is missing: run make console");
    if !missing.is_empty() {
        eprintln!("NOT RUN: console/{missing:?} is missing; `make test` makes it");
    }
    missing.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_approves_proves_undoes_and_freezes_in_a_browser() -> Result<()> {
    if !is_ready() {
        return Ok(());
    }
    let programs = binary("lightsout").parent().context("no folder of programs")?.to_owned();
    let mut command = Command::new("node");
    command.arg("browser/test.mjs").current_dir(console()).env("LIGHTSOUT_BIN", programs);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(AT_MOST, command.output()).await.context("the browser did not end")??;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{told}");
    println!("{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_small_and_its_policy_lets_nothing_else_in() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let client = reqwest::Client::new();
    let get = |path: String| {
        let request = client.get(format!("{}{path}", brain.api)).header("accept-encoding", "gzip");
        async move { anyhow::Ok(request.send().await?.error_for_status()?) }
    };
    let page = get("/".to_owned()).await?;
    let policy = page.headers()["content-security-policy"].to_str()?.to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe-"), "{policy}");
    if !console().join("dist/index.html").exists() {
        assert!(page.text().await?.contains("make console"), "it says how to build the page");
        return Ok(());
    }
    assert_eq!(page.headers()["content-encoding"], "gzip");
    let mut bytes = page.bytes().await?.len();
    let text = client.get(&brain.api).send().await?.text().await?;
    assert!(!text.contains("<style") && !text.contains("onclick"), "{text}");
    for file in text.split('"').filter(|part| part.starts_with("/console/")) {
        let part = get(file.to_owned()).await?;
        assert!(part.headers()["cache-control"].to_str()?.contains("immutable"), "{file}");
        bytes += part.bytes().await?.len();
    }
    assert!(bytes <= MAX_PAGE_BYTES, "{bytes} bytes");
    Ok(())
}
