//! `lightsout canary report ID`: a page to file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::client::{Connection, Failure};
use super::super::output::print;
use crate::canary::{CanaryDetail, report};

/// `lightsout canary report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Which canary
    id: String,
    /// Markdown (plots as Mermaid charts), or HTML in one file
    #[arg(long, value_enum, default_value_t = ReportFormat::Markdown)]
    format: ReportFormat,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    Markdown,
    Html,
}

pub(super) async fn run(connection: &Connection, args: ReportArgs) -> Result<ExitCode, Failure> {
    let canary: CanaryDetail = connection.get(&["v1", "canaries", &args.id], &[]).await?;
    let page = match args.format {
        ReportFormat::Markdown => report::markdown(&canary),
        ReportFormat::Html => report::html(&canary),
    };
    match &args.output {
        None => print(&page)?,
        Some(path) => std::fs::write(path, page)
            .map_err(|why| Failure::Invalid(format!("cannot write {}: {why}", path.display())))?,
    }
    Ok(ExitCode::SUCCESS)
}
