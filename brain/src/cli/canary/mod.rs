//! `lightsout canary …`: what a pipeline does. Exit codes of `wait`: 0 promoted, 3 rolled back, 4 undecided.

mod report;
mod start;
mod status;
mod wait;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Connection, Failure};
use super::output::{harmless, print};
use crate::api::OrderBody;

/// `lightsout canary`.
#[derive(Debug, Args)]
pub struct CanaryArgs {
    #[command(subcommand)]
    verb: CanaryVerb,
}

#[derive(Debug, Subcommand)]
enum CanaryVerb {
    /// Begin a canary; prints its id
    Start(Box<start::StartArgs>),
    /// All canaries, or one in full
    #[command(visible_alias = "list")]
    Status(status::StatusArgs),
    /// Wait until one is over: exit 0 promoted, 3 rolled back, 4 undecided
    Wait(wait::WaitArgs),
    /// A page about it, Markdown or HTML with plots
    Report(report::ReportArgs),
    /// Hold it where it is
    Pause(OrderArgs),
    /// Go on, or agree to the next step
    Resume(OrderArgs),
    /// Make it the stable version, whatever evidence is missing
    Promote(OrderArgs),
    /// Take it out
    Rollback(OrderArgs),
}

#[derive(Debug, Args)]
struct OrderArgs {
    /// Which canary
    id: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn run(connection: &Connection, args: CanaryArgs) -> Result<ExitCode, Failure> {
    match args.verb {
        CanaryVerb::Start(args) => start::run(connection, *args).await,
        CanaryVerb::Status(args) => status::run(connection, args).await,
        CanaryVerb::Wait(args) => wait::run(connection, args).await,
        CanaryVerb::Report(args) => report::run(connection, args).await,
        CanaryVerb::Pause(args) => order(connection, "pause", args).await,
        CanaryVerb::Resume(args) => order(connection, "resume", args).await,
        CanaryVerb::Promote(args) => order(connection, "promote", args).await,
        CanaryVerb::Rollback(args) => order(connection, "rollback", args).await,
    }
}

async fn order(connection: &Connection, verb: &str, args: OrderArgs) -> Result<ExitCode, Failure> {
    let body = OrderBody { reason: args.reason };
    let answer: Value = connection.post(&["v1", "canaries", &args.id, verb], &body).await?;
    let phase = answer["phase"].as_str().unwrap_or("unknown").replace('_', " ");
    print(&format!("{} is {}\n", harmless(&args.id), harmless(&phase)))?;
    Ok(ExitCode::SUCCESS)
}
