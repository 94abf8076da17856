//! `lightsout freeze` and `unfreeze`: the kill switch on the brain. Each proxy has one of its own.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Connection, Failure};
use super::output::print;
use crate::api::FreezeBody;

/// `lightsout freeze`.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    /// Also take back what is live
    #[arg(long)]
    pub revert_all: bool,
}

pub(super) async fn freeze(connection: &Connection, args: FreezeArgs) -> Result<ExitCode, Failure> {
    let body = FreezeBody { revert_all: args.revert_all };
    let answer: Result<Value, Failure> = connection.post(&["v1", "freeze"], &body).await;
    answer.map_err(|failure| match failure {
        Failure::Absent { url, why } => Failure::Failed(format!(
            "no brain answers at {url} ({why}): nothing acts from there, and its leases expire; each proxy also \
             has a switch of its own: curl -X POST -H \"Authorization: Bearer TOKEN\" http://PROXY-ADMIN/freeze"
        )),
        other => other,
    })?;
    let live = if args.revert_all { "what was live is being taken back" } else { "what is live expires" };
    print(&format!("frozen: nothing new is done; {live}\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn unfreeze(connection: &Connection) -> Result<ExitCode, Failure> {
    let _: Value = connection.post(&["v1", "unfreeze"], &json!({})).await?;
    print("unfrozen\n")?;
    Ok(ExitCode::SUCCESS)
}
