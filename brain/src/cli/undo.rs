//! `lightsout undo ID`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Connection, Failure};
use super::output::{harmless, print};
use crate::api::UndoBody;

/// `lightsout undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// Which action
    pub id: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "")]
    pub reason: String,
}

pub(super) async fn run(connection: &Connection, args: UndoArgs) -> Result<ExitCode, Failure> {
    let body = UndoBody { reason: args.reason };
    let _: Value = connection.post(&["v1", "actions", &args.id, "undo"], &body).await?;
    print(&format!("undoing {}\n", harmless(&args.id)))?;
    Ok(ExitCode::SUCCESS)
}
