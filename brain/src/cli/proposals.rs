//! `lightsout proposals`.

use std::process::ExitCode;

use protocol::action::{ActionKind, Items};

use super::client::{Connection, Failure};
use super::output::{Format, percent, print_list, word};
use crate::domain::Proposal;

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let proposals: Items<Proposal> = connection.get(&["v1", "proposals"], &[]).await?;
    let heads = ["ID", "STATE", "INCIDENT", "SERVICE", "ACTION", "HELPS", "EXPIRES"];
    print_list(format, &proposals, "No proposals.", heads, |p| {
        vec![[
            p.id.clone(),
            word(&p.state),
            p.incident.clone().unwrap_or_else(|| "-".to_owned()),
            p.action.service.clone(),
            what(&p.action.kind),
            percent(p.confidence),
            p.expires_at.clone(),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

/// An action kind on one line: its name, and its parameters as JSON.
pub(super) fn what(kind: &ActionKind) -> String {
    if let Some(endpoint) = kind.endpoint() {
        return format!("{} {endpoint}", kind.name());
    }
    if let ActionKind::Scale { replicas } = kind {
        return format!("scale to {replicas} replicas");
    }
    let mut parameters = serde_json::to_value(kind).unwrap_or_default();
    if let Some(fields) = parameters.as_object_mut() {
        fields.remove("type");
    }
    format!("{} {parameters}", kind.name())
}
