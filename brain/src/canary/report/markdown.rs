//! The page as Markdown; plots are Mermaid charts, which GitHub and GitLab draw.

use std::fmt::Write as _;

use super::{CanaryDetail, EVIDENCE_HEADS, Plot, evidence_rows, facts, headline, instant, plots};

/// Points of one chart: more are not told apart.
const MAX_POINTS: usize = 40;

/// The report as Markdown.
#[must_use]
pub fn markdown(canary: &CanaryDetail) -> String {
    let mut page = format!("# {}\n\n{}\n\n", escaped(&headline(canary)), escaped(&canary.view.why));
    if let Some(hold) = &canary.view.hold {
        page += &format!("It waits: {}\n\n", escaped(&hold.why));
    }
    page += "| | |\n|---|---|\n";
    for (what, value) in facts(canary) {
        let _ = writeln!(page, "| {what} | {} |", escaped(&value));
    }
    let rows = evidence_rows(canary);
    if !rows.is_empty() {
        let _ = write!(page, "\n## Evidence\n\n| {} |\n|{}\n", EVIDENCE_HEADS.join(" | "), "---|".repeat(6));
        for row in rows {
            let _ = writeln!(page, "| {} |", row.map(|cell| escaped(&cell)).join(" | "));
        }
    }
    page += "\n## What happened\n\n| When | Phase | Share | Who | Why |\n|---|---|---|---|---|\n";
    for entry in &canary.record.moves {
        let (at, phase) = (instant(entry.at_ms), entry.phase.name().replace('_', " "));
        let (by, why) = (escaped(&entry.by), escaped(&entry.why));
        let _ = writeln!(page, "| {at} | {phase} | {} % | {by} | {why} |", entry.weight);
    }
    for plot in plots(canary) {
        page += &chart(&plot);
    }
    page
}

fn chart(plot: &Plot) -> String {
    let Some((_, first)) = plot.series.first().filter(|(_, points)| points.len() > 1) else {
        return String::new();
    };
    let step = first.len().div_ceil(MAX_POINTS).max(1);
    let seconds: Vec<String> = first.iter().step_by(step).map(|(s, _)| format!("{s:.0}")).collect();
    let mut text = format!(
        "\n```mermaid\nxychart-beta\n  title \"{}\"\n  x-axis \"s\" [{}]\n  y-axis \"{}\"\n",
        plot.title,
        seconds.join(", "),
        plot.unit
    );
    for (_, points) in &plot.series {
        let values: Vec<String> = points.iter().step_by(step).map(|(_, v)| format!("{v:.3}")).collect();
        let _ = writeln!(text, "  line [{}]", values.join(", "));
    }
    text + "```\n"
}

/// No cell, tag or line ends where the text says so.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
