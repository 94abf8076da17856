//! `lightsout policy check DIR`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::Failure;
use super::output::print;
use crate::policy_files;

/// `lightsout policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Report every mistake in a folder of policies
    Check {
        /// The folder
        folder: PathBuf,
    },
}

pub(super) fn run(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    let PolicyVerb::Check { folder } = &args.verb;
    policy_files::load(folder).map_err(|why| Failure::Invalid(why.to_string()))?;
    print(&format!("{}: the policies are valid\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
