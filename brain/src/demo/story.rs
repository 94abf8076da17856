//! How the demo ends: the audit log's own words, its verification, and the numbers.

use std::path::Path;

use anyhow::{Context, Result};
use owo_colors::{OwoColorize, Stream};
use tabled::builder::Builder;
use tabled::settings::Style;
use tokio::process::Command;

use super::expectations::Outcome;
use super::fault::Fault;
use super::script::Run;

/// Prints `lightsout audit` of this run, then `lightsout audit verify`; whether and how it verified.
///
/// # Errors
/// When the executable cannot be started.
pub async fn print_audit(dir: &Path, since_ms: i64) -> Result<(bool, String)> {
    let since = jiff::Timestamp::from_millisecond(since_ms).context("the clock is far off")?.to_string();
    let dir = dir.display().to_string();
    headline("The story, from the audit log");
    let (_, story) = lightsout(&["audit", "--since", &since, "--data-dir", &dir]).await?;
    println!("{story}");
    headline("lightsout audit verify");
    let (verified, answer) = lightsout(&["audit", "verify", "--data-dir", &dir]).await?;
    println!("{answer}");
    Ok((verified, answer.lines().last().unwrap_or_default().to_owned()))
}

async fn lightsout(arguments: &[&str]) -> Result<(bool, String)> {
    let program = std::env::current_exe().context("cannot find the lightsout executable")?;
    let output = Command::new(program).args(arguments).output().await?;
    let mut text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    if !output.status.success() {
        text.push_str(String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok((output.status.success(), text))
}

/// What users saw while the endpoint was sick, with the brain and without it.
pub fn print_numbers(fault: Fault, with: &Run, without: Option<&Run>) {
    headline("What users saw while the endpoint was sick");
    let mut table = Builder::default();
    table.push_record(["", "requests", "failed", "slow", "failed or slow"]);
    for (name, run) in [("with the brain", Some(with)), ("without", without)] {
        let Some(run) = run else { continue };
        let seen = run.history.between(run.sick_at, run.well_at);
        let share = format!("{:.2} %", 100.0 * seen.bad_share());
        table.push_record([
            name,
            &seen.requests.to_string(),
            &seen.failed.to_string(),
            &seen.slow.to_string(),
            &share,
        ]);
    }
    println!("{}", table.build().with(Style::rounded()));
    if fault != Fault::None {
        println!("The proxies' local breakers are off and health checks run every 5 s, in both runs.");
    }
}

/// Prints each expectation with its figure; whether all were met.
pub fn print_outcomes(outcomes: &[Outcome]) -> bool {
    headline("What had to happen");
    for outcome in outcomes {
        let mark = if outcome.met {
            "✓".if_supports_color(Stream::Stdout, |t| t.green()).to_string()
        } else {
            "✗".if_supports_color(Stream::Stdout, |t| t.red()).to_string()
        };
        println!("{mark} {} ({})", outcome.what, outcome.figure);
    }
    outcomes.iter().all(|outcome| outcome.met)
}

/// Where everything of this run was left.
pub fn print_whereabouts(dir: &Path) {
    println!("\nLogs, configurations and the audit log of this run: {}", dir.display());
}

fn headline(text: &str) {
    println!("\n{}", text.if_supports_color(Stream::Stdout, |t| t.bold()));
}
