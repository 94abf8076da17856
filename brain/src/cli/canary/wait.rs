//! `lightsout canary wait ID`: until it is over, however often the brain is restarted meanwhile.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::super::client::{Connection, Failure};
use super::super::output::print_json;
use super::start::span;
use crate::canary::{CanaryDetail, Phase};

const POLL: Duration = Duration::from_millis(500);
const ROLLED_BACK: u8 = 3;
const UNDECIDED: u8 = 4;

/// `lightsout canary wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Which canary
    id: String,
    /// Then it counts as undecided; the canary itself goes on
    #[arg(long, value_parser = span, default_value = "1h", value_name = "45m")]
    timeout: Duration,
}

pub(super) async fn run(connection: &Connection, args: WaitArgs) -> Result<ExitCode, Failure> {
    let until = Instant::now() + args.timeout;
    loop {
        match connection.get::<CanaryDetail>(&["v1", "canaries", &args.id], &[]).await {
            Ok(canary) => {
                if let Some(end) = end(&canary)? {
                    return end;
                }
            }
            // A brain that is restarted comes back with its canaries.
            Err(why @ Failure::Absent { .. }) if Instant::now() >= until => return Err(why),
            Err(Failure::Absent { .. }) => {}
            Err(why) => return Err(why),
        }
        if Instant::now() >= until {
            let why = format!("{} is not over after {} s", args.id, args.timeout.as_secs());
            return Err(Failure::Ended(why, UNDECIDED));
        }
        tokio::time::sleep(POLL).await;
    }
}

type End = Result<ExitCode, Failure>;

/// How it ended: the reason on standard error for people, all of it as JSON on standard output for programs.
fn end(canary: &CanaryDetail) -> Result<Option<End>, Failure> {
    let view = &canary.view;
    if !view.phase.is_over() {
        return Ok(None);
    }
    print_json(&json!({
        "id": view.id, "service": view.service, "stable": view.stable, "canary": view.canary, "phase": view.phase,
        "reason": view.why, "totals": view.totals, "evidence": view.evidence, "ended_ms": view.ended_ms,
    }))?;
    let failure = |code| Failure::Ended(format!("{}: {}", view.id, view.why), code);
    Ok(Some(match view.phase {
        Phase::RolledBack => Err(failure(ROLLED_BACK)),
        Phase::Undecided => Err(failure(UNDECIDED)),
        _ => Ok(ExitCode::SUCCESS),
    }))
}
