//! `lightsout incidents [ID]`.

use std::process::ExitCode;

use clap::Args;
use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, harmless, instant, percent, print, print_json, print_list, table, word};
use crate::domain::{Cause, Incident};

/// `lightsout incidents`.
#[derive(Debug, Args)]
pub struct IncidentsArgs {
    /// One incident in full
    pub id: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) async fn run(connection: &Connection, args: IncidentsArgs) -> Result<ExitCode, Failure> {
    if let Some(id) = &args.id {
        let incident: Incident = connection.get(&["v1", "incidents", id], &[]).await?;
        match args.format {
            Format::Json => print_json(&incident)?,
            Format::Table => print(&story(&incident))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let incidents: Items<Incident> = connection.get(&["v1", "incidents"], &[]).await?;
    let heads = ["ID", "STATE", "SERVICE", "CAUSE", "SURE", "OPENED", "SUMMARY"];
    print_list(args.format, &incidents, "No incidents.", heads, |i| {
        vec![[
            i.id.clone(),
            word(&i.state),
            i.service.clone(),
            culprit(&i.cause),
            percent(i.confidence),
            instant(i.opened_ms),
            i.summary.clone(),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

fn culprit(cause: &Cause) -> String {
    let which = cause.endpoint.as_ref().or(cause.version.as_ref()).unwrap_or(&cause.service);
    format!("{} {which}", word(&cause.kind))
}

fn story(incident: &Incident) -> String {
    let closed = incident.closed_ms.map_or_else(|| "still open".to_owned(), instant);
    let mut text = format!(
        "{} ({})\n{}\ncause     {} ({} sure)\nonset     {}\nopened    {}\nclosed    {closed}\n",
        harmless(&incident.id),
        word(&incident.state),
        harmless(&incident.summary),
        harmless(&culprit(&incident.cause)),
        percent(incident.confidence),
        instant(incident.onset_ms),
        instant(incident.opened_ms),
    );
    for other in &incident.alternatives {
        text.push_str(&format!("not       {}\n", harmless(other)));
    }
    let rows = incident.evidence.iter().map(|e| {
        [
            word(&e.signal),
            e.series.clone(),
            percent(e.observed),
            percent(e.baseline),
            e.requests.to_string(),
            format!("{} s", e.window_s),
            format!("{:.1}", e.log_e),
        ]
    });
    text.push('\n');
    text.push_str(&table(["SIGNAL", "SERIES", "SEEN", "EXPECTED", "REQUESTS", "OVER", "LOG E"], rows));
    text
}
