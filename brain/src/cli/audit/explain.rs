//! `lightsout audit explain ID`: a decision again from its record, with the brain up or down.

use std::fmt::Write as _;
use std::process::ExitCode;

use protocol::action::Items;

use super::super::client::{Connection, Failure};
use super::super::output::{Format, bad, good, harmless, percent, print, print_json, table, word};
use super::local;
use crate::domain::Verdict;
use crate::explain::{Explanation, explain};

pub(super) async fn run(connection: &Connection, id: &str, format: Format) -> Result<ExitCode, Failure> {
    let found: Vec<Explanation> = if connection.data_dir.is_some() {
        from_the_file(connection, id).await?
    } else {
        match connection.get::<Items<Explanation>>(&["v1", "audit", id, "explain"], &[]).await {
            Err(Failure::Absent { .. }) if connection.data_dir().exists() => {
                from_the_file(connection, id).await?
            }
            answer => answer?.items,
        }
    };
    if found.is_empty() {
        return Err(Failure::Failed(format!("no decision of the log has to do with {id}")));
    }
    match format {
        Format::Json => print_json(&Items::all(found.clone()))?,
        Format::Table => found.iter().try_for_each(|one| print(&told(one)))?,
    }
    Ok(if found.iter().all(|one| one.same) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn from_the_file(connection: &Connection, id: &str) -> Result<Vec<Explanation>, Failure> {
    let verdicts = local(connection).await?.verdicts(id).await.map_err(Failure::failed)?;
    Ok(verdicts.iter().filter_map(explain).collect())
}

/// One decision for people.
fn told(one: &Explanation) -> String {
    let proposal = &one.proposal;
    let mut text = String::new();
    let kind = serde_json::to_string(&proposal.action.kind).unwrap_or_default();
    let _ =
        writeln!(text, "record {} at {}: {} of {}", one.seq, one.at, proposal.id, proposal.action.service);
    let _ = writeln!(text, "  action      {}", harmless(&kind));
    let _ = writeln!(text, "  confidence  {}", percent(proposal.confidence));
    let _ = writeln!(text, "  predicted   {}", harmless(&proposal.predicted_effect));
    for speaker in &proposal.speakers {
        let says = harmless(&speaker.says);
        let _ =
            writeln!(text, "  {:<11} {} ({})", harmless(&speaker.name), says, percent(speaker.confidence));
    }
    for evidence in &proposal.evidence {
        let (signal, series) = (word(&evidence.signal), harmless(&evidence.series));
        let (seen, usual, n) = (evidence.observed, evidence.baseline, evidence.requests);
        let _ = writeln!(
            text,
            "  evidence    {signal} of {series}: {seen:.3} against {usual:.3} over {n} requests"
        );
    }
    let rows = one.checks.iter().map(|c| [c.name.clone(), word(&c.verdict), harmless(&c.why)]);
    text.push_str(&table(["CHECK", "ANSWER", "WHY"], rows));
    let verdict = word(&one.verdict);
    let verdict = if one.verdict == Verdict::Allow { good(&verdict) } else { bad(&verdict) };
    let _ = writeln!(text, "\nverdict: {verdict}, because {}", harmless(&one.why));
    if one.same {
        let _ = writeln!(text, "{}", good("decided again from its record: every answer is the same\n"));
    } else {
        let _ = writeln!(text, "{}", bad("decided again from its record, it differs:"));
        one.differences.iter().for_each(|line| {
            let _ = writeln!(text, "  {}", harmless(line));
        });
    }
    text
}
