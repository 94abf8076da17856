//! The page about canaries, run as it stands.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Behaviour, Stage, binary};
use tokio::process::Command;

/// The block of the page that is marked so.
fn block(page: &str, mark: &str) -> String {
    let inside = page.lines().skip_while(|line| *line != format!("```{mark}")).skip(1);
    let lines: Vec<&str> = inside.take_while(|line| *line != "```").collect();
    assert!(!lines.is_empty(), "the page has no {mark}");
    lines.join("\n") + "\n"
}

/// The commands of the shipped step for GitHub Actions.
fn github(step: &str) -> String {
    let inside = step.lines().skip_while(|line| line.trim() != "run: |").skip(1);
    inside.map(|line| format!("{}\n", line.trim())).collect()
}

/// Those of the shipped job for GitLab.
fn gitlab(job: &str) -> String {
    let inside = job.lines().skip_while(|line| line.trim() != "script:").skip(1);
    let inside = inside.take_while(|line| line.starts_with("    "));
    inside.map(|line| format!("{}\n", line.trim().trim_start_matches("- "))).collect()
}

async fn script(stage: &Stage, text: &str) -> Result<(Option<i32>, String)> {
    let bin = binary("lightsout");
    let path = format!("{}:{}", bin.parent().context("no folder")?.display(), std::env::var("PATH")?);
    let token = stage.brain.token()?;
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -eux\n{text}")]).current_dir(stage.dir.path()).env("PATH", path);
    command.env("LIGHTSOUT_URL", &stage.brain.api).env("LIGHTSOUT_TOKEN", &token);
    command.env("STABLE", "v1").env("VERSION", "v2").env("GITHUB_STEP_SUMMARY", "summary.md");
    let output = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(150), output).await.context("it did not end")??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_does_what_it_says() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let page = std::fs::read_to_string(root.join("docs/canaries.md"))?;
    let stage = Stage::set().await?;
    std::fs::write(stage.dir.path().join("canary.yaml"), block(&page, "yaml canary.yaml"))?;
    let (code, said) = script(&stage, &block(&page, "sh run")).await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(std::fs::read_to_string(stage.dir.path().join("canary.html"))?.contains("release meeting"));
    let served = reqwest::get(format!("{}/v1/canaries/can-1/report", stage.brain.api)).await?;
    let policy = served.headers()["content-security-policy"].to_str()?.to_owned();
    assert!(policy.contains("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
    assert!(served.text().await?.contains("cart v2: "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_pipelines_end_with_the_verdict_and_file_the_report() -> Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/pipelines");
    let stage = Stage::set().await?;
    // What fails at once is out soon, and the pipeline with it.
    stage.v2().behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    let (code, said) =
        script(&stage, &github(&std::fs::read_to_string(shipped.join("github-actions.yml"))?)).await?;
    assert_eq!(code, Some(3), "{said}");
    let page = std::fs::read_to_string(stage.dir.path().join("summary.md"))?;
    assert!(page.contains("# cart v2: rolled back"), "{page}");
    let (code, said) =
        script(&stage, &gitlab(&std::fs::read_to_string(shipped.join("gitlab-ci.yml"))?)).await?;
    assert_eq!(code, Some(3), "{said}");
    let outcome: serde_json::Value =
        serde_json::from_slice(&std::fs::read(stage.dir.path().join("canary.json"))?)?;
    assert_eq!(outcome["phase"], "rolled_back", "{outcome}");
    assert!(stage.dir.path().join("canary.html").exists());
    Ok(())
}
