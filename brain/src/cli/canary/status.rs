//! `lightsout canary status [ID]`.

use std::process::ExitCode;

use clap::Args;
use protocol::action::Items;

use super::super::client::{Connection, Failure};
use super::super::output::{Format, harmless, percent, print, print_json, print_list, word};
use crate::canary::{CanaryDetail, CanaryView};
use crate::decision::rfc3339;

/// `lightsout canary status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which canary; all when left out
    id: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) async fn run(connection: &Connection, args: StatusArgs) -> Result<ExitCode, Failure> {
    if let Some(id) = &args.id {
        let canary: CanaryDetail = connection.get(&["v1", "canaries", id], &[]).await?;
        match args.format {
            Format::Json => print_json(&canary)?,
            Format::Table => print(&in_full(&canary))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let all: Items<CanaryView> = connection.get(&["v1", "canaries"], &[]).await?;
    let heads = ["ID", "SERVICE", "VERSIONS", "PHASE", "SHARE", "EVIDENCE", "WHY"];
    print_list(args.format, &all, "No canaries.", heads, |c| {
        vec![[
            c.id.clone(),
            c.service.clone(),
            format!("{} > {}", c.stable, c.canary),
            word(&c.phase),
            format!("{} %", c.weight),
            percent(c.evidence_share),
            c.hold.as_ref().map_or(&c.why, |hold| &hold.why).clone(),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

fn in_full(canary: &CanaryDetail) -> String {
    let view = &canary.view;
    let mut text = format!(
        "{} {} {} > {}: {}, {} % of the traffic (steps {:?})\n{}\n",
        view.id,
        view.service,
        view.stable,
        view.canary,
        word(&view.phase),
        view.weight,
        view.steps,
        view.why
    );
    if let Some(hold) = &view.hold {
        text.push_str(&format!("waits: {}\n", hold.why));
    }
    let totals = &view.totals;
    text.push_str(&format!(
        "requests: {} ({} failed) at {}, {} ({} failed) at {}\n",
        totals.canary, totals.canary_failed, view.canary, totals.stable, totals.stable_failed, view.stable
    ));
    if let Some(budget) = &view.budget {
        text.push_str(&format!("error budget: {}\n", budget.words()));
    }
    for entry in &canary.record.moves {
        text.push_str(&format!(
            "{}  {:>3} %  {:<12} {} ({})\n",
            rfc3339(entry.at_ms),
            entry.weight,
            word(&entry.phase),
            entry.why,
            entry.by
        ));
    }
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}
