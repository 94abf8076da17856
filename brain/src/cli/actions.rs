//! `lightsout actions`.

use std::process::ExitCode;

use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, instant, print_list, word};
use super::proposals::what;
use crate::domain::Action;

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let actions: Items<Action> = connection.get(&["v1", "actions"], &[]).await?;
    let heads =
        ["ID", "PHASE", "INCIDENT", "SERVICE", "ACTION", "PROXIES", "RENEWED", "EFFECT", "BY", "STARTED"];
    print_list(format, &actions, "No actions.", heads, |a| {
        vec![[
            a.id.clone(),
            word(&a.phase),
            a.incident.clone().unwrap_or_else(|| "-".to_owned()),
            a.action.service.clone(),
            what(&a.action.kind),
            a.receipts.len().to_string(),
            a.renewals.to_string(),
            a.effect.as_ref().map_or_else(|| "-".to_owned(), |e| word(&e.kind)),
            a.issued_by.clone(),
            instant(a.started_ms),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}
