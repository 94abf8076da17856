//! `lightsout approve ID`: shows what is agreed to, then agrees to exactly that.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Connection, Failure};
use super::output::{harmless, percent, print, word};
use super::proposals::what;
use crate::api::ApproveBody;
use crate::domain::Proposal;

/// `lightsout approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// Which proposal
    pub id: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "")]
    pub reason: String,
}

pub(super) async fn run(connection: &Connection, args: ApproveArgs) -> Result<ExitCode, Failure> {
    let proposal: Proposal = connection.get(&["v1", "proposals", &args.id], &[]).await?;
    print(&story(&proposal))?;
    let body = ApproveBody { digest: proposal.digest, reason: args.reason };
    let _: Value = connection.post(&["v1", "proposals", &args.id, "approve"], &body).await?;
    print(&format!("approved {}\n", harmless(&args.id)))?;
    Ok(ExitCode::SUCCESS)
}

fn story(proposal: &Proposal) -> String {
    let mut text = format!(
        "{} ({})\naction    {} on {}, lease {} ms\nhelps     {}\nexpected  {}\n\
         touches   {} of capacity, {} of requests, {} proxies\nexpires   {}\n",
        harmless(&proposal.id),
        word(&proposal.state),
        harmless(&what(&proposal.action.kind)),
        harmless(&proposal.action.service),
        proposal.action.lease_ms,
        percent(proposal.confidence),
        harmless(&proposal.predicted_effect),
        percent(proposal.radius.capacity),
        percent(proposal.radius.requests),
        proposal.radius.proxies,
        harmless(&proposal.expires_at),
    );
    for speaker in &proposal.speakers {
        let line = format!("{} ({})", harmless(&speaker.says), percent(speaker.confidence));
        text.push_str(&format!("says      {}: {line}\n", harmless(&speaker.name)));
    }
    for e in &proposal.evidence {
        let number = |n: f64| if e.signal.is_share() { percent(n) } else { format!("{n:.1}") };
        text.push_str(&format!(
            "seen      {} {}: {} against {} over {} requests\n",
            word(&e.signal),
            harmless(&e.series),
            number(e.observed),
            number(e.baseline),
            e.requests,
        ));
    }
    text
}
