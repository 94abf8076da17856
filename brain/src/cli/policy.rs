//! `lightsout policy check DIR | schema DOCUMENT`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use protocol::document::sorted_text;

use super::client::Failure;
use super::output::print;
use crate::{policies, policy_files, settings};

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
    /// Print the JSON Schema of a document, for editors to check and complete by
    Schema {
        /// Which
        document: DocumentName,
    },
}

/// What people write for the brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DocumentName {
    Brain,
    Rules,
    Guard,
    Detection,
    Canaries,
    Canary,
    /// The OpenAPI document of the brain's API
    Api,
}

pub(super) fn run(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        PolicyVerb::Check { folder } => {
            policy_files::load(folder).map_err(|why| Failure::Invalid(why.to_string()))?;
            print(&format!("{}: the policies are valid\n", folder.display()))?;
        }
        PolicyVerb::Schema { document } => print(&schema(*document))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn schema(document: DocumentName) -> String {
    let [rules, guard, detection, canaries, canary] = policies::schemas();
    match document {
        DocumentName::Brain => settings::schema(),
        DocumentName::Rules => rules,
        DocumentName::Guard => guard,
        DocumentName::Detection => detection,
        DocumentName::Canaries => canaries,
        DocumentName::Canary => canary,
        DocumentName::Api => sorted_text(crate::api::openapi::document()),
    }
}
