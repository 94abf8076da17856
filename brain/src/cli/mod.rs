//! The command line: one file a verb. Verbs talk to a running brain over its API; `brain` is that brain.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or invalid input. Errors are one clear line on standard error.

mod actions;
mod approve;
mod audit;
mod autonomy;
mod brain;
mod canary;
mod client;
mod freeze;
mod incidents;
mod mode;
mod output;
mod policy;
mod proposals;
mod reject;
pub mod replay;
mod services;
mod status;
mod token;
mod undo;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use client::{Connection, Failure};
pub use output::Format;

use crate::demo::origin::{self, OriginArgs};
use crate::demo::{self, DemoArgs};

/// Watches a mesh of sidecar proxies, mends it within bounds, and proves what it did.
#[derive(Debug, Parser)]
#[command(name = "lightsout", version, propagate_version = true)]
pub struct Cli {
    /// Where the brain is.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the daemon: telemetry, control loop, API, console
    Brain(brain::BrainArgs),
    /// The brain in a few lines
    Status(Formatted),
    /// Services and endpoints over the last ten seconds
    Services(Formatted),
    /// Incidents, or one of them in full
    Incidents(incidents::IncidentsArgs),
    /// What is or was proposed
    Proposals(Formatted),
    /// What is or was done
    Actions(Formatted),
    /// Agree to a proposal
    Approve(approve::ApproveArgs),
    /// Refuse a proposal
    Reject(reject::RejectArgs),
    /// Remove a live action
    Undo(undo::UndoArgs),
    /// What each kind of action has shown, and what that lets it do
    Autonomy(Formatted),
    /// Stop acting, at once
    Freeze(freeze::FreezeArgs),
    /// Go on acting
    Unfreeze,
    /// Set how far the brain may go
    Mode(mode::ModeArgs),
    /// Canaries: start one, wait for it, steer it
    Canary(canary::CanaryArgs),
    /// The audit log: read, verify, export
    Audit(audit::AuditArgs),
    /// The control loop over recorded windows
    Replay(replay::ReplayArgs),
    /// Who may come, in which role: add, list, revoke
    Token(token::TokenArgs),
    /// Check a folder of policies
    Policy(policy::PolicyArgs),
    /// A whole mesh on loopback, with traffic, a fault, and the brain mending it
    Demo(DemoArgs),
    /// One service of the demo
    #[command(hide = true)]
    DemoOrigin(OriginArgs),
}

/// A verb that prints a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct Formatted {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Where data lies when nothing else is said.
fn default_data_dir() -> PathBuf {
    PathBuf::from("./lightsout-data")
}

/// Carries out the verb.
///
/// # Errors
/// [`Failure`]: one line for a person, and the exit code.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let connection = cli.connection;
    match cli.verb {
        Verb::Brain(args) => brain::run(args).await,
        Verb::Status(args) => status::run(&connection, args.format).await,
        Verb::Services(args) => services::run(&connection, args.format).await,
        Verb::Incidents(args) => incidents::run(&connection, args).await,
        Verb::Proposals(args) => proposals::run(&connection, args.format).await,
        Verb::Actions(args) => actions::run(&connection, args.format).await,
        Verb::Approve(args) => approve::run(&connection, args).await,
        Verb::Reject(args) => reject::run(&connection, args).await,
        Verb::Undo(args) => undo::run(&connection, args).await,
        Verb::Freeze(args) => freeze::freeze(&connection, args).await,
        Verb::Unfreeze => freeze::unfreeze(&connection).await,
        Verb::Mode(args) => mode::run(&connection, args).await,
        Verb::Autonomy(args) => autonomy::run(&connection, args.format).await,
        Verb::Canary(args) => canary::run(&connection, args).await,
        Verb::Audit(args) => audit::run(&connection, args).await,
        Verb::Replay(args) => replay(&args),
        Verb::Token(args) => token::run(&connection, &args),
        Verb::Policy(args) => policy::run(&args),
        Verb::Demo(args) => demo::run(args).await.map_err(in_full),
        Verb::DemoOrigin(args) => origin::run(args).await.map(|()| ExitCode::SUCCESS).map_err(in_full),
    }
}

fn replay(args: &replay::ReplayArgs) -> Result<ExitCode, Failure> {
    use replay::ReplayError;
    match replay::run(args, std::io::stdin(), std::io::stdout(), std::io::stderr()) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        // Nobody reads on: that ends the program's interest, not its success.
        Err(ReplayError::Io(why)) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(why) if why.exit_code() == 2 => Err(Failure::Invalid(why.to_string())),
        Err(why) => Err(Failure::failed(why)),
    }
}

/// An error with all its causes.
fn in_full(why: anyhow::Error) -> Failure {
    Failure::Failed(format!("{why:#}"))
}
