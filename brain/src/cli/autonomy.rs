//! `lightsout autonomy`: what each kind of action has shown, and what that lets it do.

use std::process::ExitCode;

use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, percent, print_list, word};
use crate::domain::{AutonomyRow, ModelRow};

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let rows: Items<AutonomyRow> = connection.get(&["v1", "autonomy"], &[]).await?;
    let heads = [
        "ACTION",
        "MODE",
        "TRIALS",
        "HELPED",
        "UNCHANGED",
        "HARMED",
        "YES/NO",
        "SAID → CAME TRUE",
        "MODEL",
        "WHY",
    ];
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
            models(row),
            row.why.clone(),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

/// By cause: the outcomes that the model was taught here, how far off it was, and what it knew before the first.
fn models(row: &AutonomyRow) -> String {
    let one = |m: &ModelRow| {
        let told = if m.calibration_error > 0.0 {
            format!(", off by {}", percent(m.calibration_error))
        } else if m.speaks {
            String::new()
        } else {
            ", silent".to_owned()
        };
        let known = m.simulated.map(|s| {
            let share = f64::from(s.helped) / f64::from(s.outcomes.max(1));
            format!("; simulated {} of {}, worth {}", percent(share), s.outcomes, s.worth)
        });
        format!("{}: {} outcomes{told}{}", word(&m.cause), m.outcomes, known.unwrap_or_default())
    };
    let all: Vec<String> = row.models.iter().map(one).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn curve(row: &AutonomyRow) -> String {
    let points =
        row.curve.iter().map(|b| format!("{} → {} ({})", percent(b.said), percent(b.came_true), b.trials));
    let points: Vec<String> = points.collect();
    if points.is_empty() { "-".to_owned() } else { points.join(", ") }
}
