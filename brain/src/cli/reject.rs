//! `lightsout reject ID --reason TEXT`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Connection, Failure};
use super::output::{harmless, print};
use crate::api::RejectBody;

/// `lightsout reject`.
#[derive(Debug, Args)]
pub struct RejectArgs {
    /// Which proposal
    pub id: String,
    /// Why not; kept in the audit log
    #[arg(long)]
    pub reason: String,
}

pub(super) async fn run(connection: &Connection, args: RejectArgs) -> Result<ExitCode, Failure> {
    let body = RejectBody { reason: args.reason };
    let _: Value = connection.post(&["v1", "proposals", &args.id, "reject"], &body).await?;
    print(&format!("rejected {}\n", harmless(&args.id)))?;
    Ok(ExitCode::SUCCESS)
}
