//! `lightsout demo`: a whole mesh on loopback, with users, a fault, and the brain mending it.
//!
//! Real processes, the same binaries an operator runs: three origin services (`web` calls `cart`,
//! `cart` calls `catalog`), a `sidecar-proxy` in front of each, and the brain. What the demo says
//! happened it takes from the audit log, never from its own knowledge of the fault.

mod expectations;
mod fault;
mod feed;
mod mesh;
pub mod origin;
mod process;
mod script;
mod story;
mod traffic;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::domain::Mode;

pub use fault::Fault;

/// What `lightsout demo` is asked.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// What goes wrong.
    #[arg(long, value_enum, default_value = "gray-endpoint")]
    pub fault: Fault,
    /// Unattended: plain lines instead of the live view; exit 0 only if everything happened.
    #[arg(long)]
    pub once: bool,
    /// How far the brain may go on its own; in `advisory` the proposal waits for `lightsout approve ID`.
    #[arg(long, value_enum, default_value = "autonomous")]
    pub mode: Mode,
    /// Requests per second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=2000))]
    pub rate: u32,
    /// Where the run keeps its files (made; kept afterwards). Default: a new temporary folder.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The brain's API port; taken from the system when it is busy.
    #[arg(long, default_value_t = 7070)]
    pub api_port: u16,
    /// How long the endpoint stays sick, seconds; in `advisory` from the approval on.
    #[arg(long, default_value_t = fault::SICK_FOR_S, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub sick_for: u32,
    /// Leave out the second run, without the brain.
    #[arg(long)]
    pub no_comparison: bool,
}

/// Runs the demo: with the brain, then the same fault without it, then the story.
///
/// # Errors
/// When a part cannot be started or stops by itself. A run that went through, but not as it should,
/// is exit code 1.
pub async fn run(args: DemoArgs) -> Result<ExitCode> {
    let dir = mesh::data_dir(args.dir.as_deref())?;
    let with = script::play(&args, &dir, mesh::Brain::On).await?;
    let without = match args.fault {
        Fault::None => None,
        _ if args.no_comparison || with.interrupted => None,
        _ => Some(script::play(&args, &dir, mesh::Brain::Off).await?),
    };
    let verified = story::print_audit(&dir, with.started_ms).await?;
    let outcomes = expectations::judge(&args, &with, without.as_ref(), verified);
    story::print_numbers(args.fault, &with, without.as_ref());
    let all_met = story::print_outcomes(&outcomes);
    story::print_whereabouts(&dir);
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
