//! What a run of the demo must have shown, each with the figure it was judged by.

use std::time::Duration;

use super::DemoArgs;
use super::fault::{Fault, SICK_SERVICE};
use super::feed::Line;
use super::script::Run;
use super::traffic::Seen;
use crate::domain::Mode;

/// The brain must have spoken so soon after the endpoint fell sick.
const OPEN_WITHIN_MS: i64 = 15_000;
/// Just before the endpoint recovers, no more than this share of requests may be bad.
const MENDED_SHARE: f64 = 0.01;
/// "Just before".
const MENDED_WINDOW: Duration = Duration::from_secs(5);

/// One expectation and whether it was met.
pub struct Outcome {
    /// What was expected.
    pub what: String,
    /// Whether it was so.
    pub met: bool,
    /// By what figure.
    pub figure: String,
}

fn outcome(what: &str, met: bool, figure: impl Into<String>) -> Outcome {
    Outcome { what: what.to_owned(), met, figure: figure.into() }
}

/// Judges a run, and the one without the brain beside it where there was one.
pub fn judge(args: &DemoArgs, with: &Run, without: Option<&Run>, audit: (bool, String)) -> Vec<Outcome> {
    let mut outcomes = match (args.fault, args.mode) {
        (Fault::None, _) => vec![nothing_was_done(with)],
        (_, Mode::Observe) => vec![opened(with), nothing_was_done(with)],
        _ => mended(args, with, without),
    };
    outcomes.push(outcome("the audit log verifies", audit.0, audit.1));
    if with.interrupted {
        outcomes.push(outcome("the run went to its end", false, "interrupted"));
    }
    outcomes
}

fn mended(args: &DemoArgs, with: &Run, without: Option<&Run>) -> Vec<Outcome> {
    let kinds = |kind: &str| with.lines.iter().filter(|l| l.kind == kind).count();
    let mut outcomes = vec![opened(with), only_the_culprit_was_treated(with)];
    let verdict = if args.mode == Mode::Advisory { "ask" } else { "allow" };
    let judged = with.lines.iter().any(|l| l.kind == "verdict" && l.text("/judgement/verdict") == verdict);
    outcomes.push(outcome(
        &format!("the guard answered {verdict}"),
        judged,
        format!("{} verdicts", kinds("verdict")),
    ));
    if args.mode == Mode::Advisory {
        let waited = with.lines.iter().position(|l| l.kind == "intent")
            > with.lines.iter().position(|l| l.kind == "decision" && l.text("/decision") == "approved");
        outcomes.push(outcome(
            "nothing was done before a person approved",
            waited,
            format!("{} decisions", kinds("decision")),
        ));
    }
    outcomes.push(outcome(
        "a proxy took the leased action",
        kinds("receipt") > 0,
        format!("{} receipts", kinds("receipt")),
    ));
    outcomes.push(users_stopped_seeing_it(args.fault, with));
    let helped = with.lines.iter().any(|l| l.kind == "effect" && l.text("/effect/kind") == "helped");
    outcomes.push(outcome(
        "the brain verified that it helped",
        helped,
        format!("{} effects", kinds("effect")),
    ));
    outcomes.push(outcome(
        "the lease was renewed",
        kinds("renewed") > 0,
        format!("{} records", kinds("renewed")),
    ));
    outcomes.push(probed_and_returned(with));
    outcomes.extend(without.map(|without| better_than_without(args.fault, with, without)));
    outcomes
}

fn opened(run: &Run) -> Outcome {
    let sick_ms = run.started_ms + run.sick_at.as_millis() as i64;
    let line = run.lines.iter().find(|l| l.kind == "incident_opened" && names_the_culprit(l, run));
    let after_ms = line.map(|l| l.at_ms() - sick_ms);
    let figure =
        after_ms.map_or("no such incident".to_owned(), |ms| format!("after {:.1} s", ms as f64 / 1e3));
    outcome(
        "an incident names the sick endpoint",
        after_ms.is_some_and(|ms| (0..=OPEN_WITHIN_MS).contains(&ms)),
        figure,
    )
}

fn names_the_culprit(line: &Line, run: &Run) -> bool {
    line.text("/incident/cause/kind") == "bad_endpoint"
        && line.text("/incident/cause/service") == SICK_SERVICE
        && line.text("/incident/cause/endpoint") == run.sick_endpoint
}

/// Every ejection is of the sick endpoint, and every incident blames it.
fn only_the_culprit_was_treated(run: &Run) -> Outcome {
    let ejects = run
        .lines
        .iter()
        .filter(|l| l.kind == "intent" && l.text("/action/action/kind/type") == "eject_endpoint");
    let wrong_ejects = ejects.filter(|l| l.text("/action/action/kind/endpoint") != run.sick_endpoint).count();
    let wrong_incidents =
        run.lines.iter().filter(|l| l.kind == "incident_opened" && !names_the_culprit(l, run)).count();
    let figure = format!("{wrong_ejects} others ejected, {wrong_incidents} other incidents");
    outcome("nobody else was blamed or treated", wrong_ejects + wrong_incidents == 0, figure)
}

fn users_stopped_seeing_it(fault: Fault, run: &Run) -> Outcome {
    let seen = run.history.between(run.well_at.saturating_sub(MENDED_WINDOW), run.well_at);
    let figure = format!(
        "{} of {} {} in the last {} s of the fault",
        harmed(fault, &seen),
        seen.requests,
        harm(fault),
        MENDED_WINDOW.as_secs()
    );
    outcome(
        "users stopped seeing it",
        seen.requests > 0 && harmed_share(fault, &seen) <= MENDED_SHARE,
        figure,
    )
}

/// What a fault does to users. Answers that fail are held apart from answers that are late: a laptop
/// that stalls for a second makes hundreds late in either run, and no endpoint is to blame for them.
fn harm(fault: Fault) -> &'static str {
    if fault == Fault::SlowEndpoint { "failed or slow" } else { "failed" }
}

fn harmed(fault: Fault, seen: &Seen) -> u64 {
    if fault == Fault::SlowEndpoint { seen.bad() } else { seen.failed }
}

/// Of all requests, 0 to 1.
fn harmed_share(fault: Fault, seen: &Seen) -> f64 {
    harmed(fault, seen) as f64 / seen.requests.max(1) as f64
}

fn probed_and_returned(run: &Run) -> Outcome {
    let probed = run.lines.iter().any(|l| l.kind == "intent" && l.text("/action/phase") == "probing");
    let closed = run.lines.iter().rfind(|l| l.kind == "incident_closed");
    let figure = match closed {
        Some(line) => {
            let after_ms = line.at_ms() - run.started_ms - run.well_at.as_millis() as i64;
            format!("closed {:.1} s after recovery, {} leases left", after_ms as f64 / 1e3, run.leases_left)
        }
        None => format!("not closed, probed: {probed}, {} leases left", run.leases_left),
    };
    let met = probed && closed.is_some() && run.returned && run.leases_left == 0;
    outcome("the endpoint was probed and returned", met, figure)
}

fn nothing_was_done(run: &Run) -> Outcome {
    let intents = run.lines.iter().filter(|l| l.kind == "intent").count();
    let receipts = run.lines.iter().filter(|l| l.kind == "receipt").count();
    outcome("nothing was done", intents + receipts == 0, format!("{intents} intents, {receipts} receipts"))
}

fn better_than_without(fault: Fault, with: &Run, without: &Run) -> Outcome {
    let share = |run: &Run| harmed_share(fault, &run.history.between(run.sick_at, run.well_at));
    let (on, off) = (share(with), share(without));
    let figure = format!("{:.2} % {} with, {:.2} % without", 100.0 * on, harm(fault), 100.0 * off);
    outcome("users fared better with the brain than without", on < off / 2.0, figure)
}
