//! `lightsout autonomy`: what each kind of action has shown, and what that lets it do.

use std::process::ExitCode;

use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, percent, print_list, word};
use crate::domain::AutonomyRow;

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let rows: Items<AutonomyRow> = connection.get(&["v1", "autonomy"], &[]).await?;
    let heads =
        ["ACTION", "MODE", "TRIALS", "HELPED", "UNCHANGED", "HARMED", "YES/NO", "SAID → CAME TRUE", "WHY"];
    print_list(format, &rows, "No kinds of action.", heads, |row| {
        vec![[
            row.kind.clone(),
            word(&row.mode),
            row.trials.to_string(),
            row.helped.to_string(),
            row.unchanged.to_string(),
            row.harmed.to_string(),
            format!("{}/{}", row.approved, row.rejected),
            curve(row),
            row.why.clone(),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

fn curve(row: &AutonomyRow) -> String {
    let points =
        row.curve.iter().map(|b| format!("{} → {} ({})", percent(b.said), percent(b.came_true), b.trials));
    let points: Vec<String> = points.collect();
    if points.is_empty() { "-".to_owned() } else { points.join(", ") }
}
