//! `lightsout mode observe|advisory|autonomous [--kind ACTION]`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Connection, Failure};
use super::output::{harmless, print, word};
use crate::api::ModeBody;
use crate::domain::Mode;

/// `lightsout mode`.
#[derive(Debug, Args)]
pub struct ModeArgs {
    /// How far the brain may go, until it is restarted
    #[arg(value_enum)]
    pub mode: Mode,
    /// For one kind of action only
    #[arg(long, value_name = "ACTION")]
    pub kind: Option<String>,
}

pub(super) async fn run(connection: &Connection, args: ModeArgs) -> Result<ExitCode, Failure> {
    let body = ModeBody { mode: args.mode, kind: args.kind.clone() };
    let _: Value = connection.post(&["v1", "mode"], &body).await?;
    let scope = args.kind.map_or_else(String::new, |kind| format!(" for {}", harmless(&kind)));
    print(&format!("mode{scope}: {}\n", word(&args.mode)))?;
    Ok(ExitCode::SUCCESS)
}
