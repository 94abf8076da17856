//! `benchmarks/canary.md`.

use std::fmt::Write;

use crate::judges::Outcome;
use crate::scenario::{Cell, Wanted};
use crate::tally::{Tally, wilson};

/// A cell and what its three judges did: ours, Flagger-like, Kayenta-like.
pub struct Row {
    /// What was judged.
    pub cell: Cell,
    /// By whom.
    pub tallies: [Tally; 3],
}

const GOOD_TARGET: f64 = 0.2;
const BAD_TARGET: f64 = 1.0;

fn wrong(row: &Row, judge: usize) -> (usize, usize) {
    let tally = &row.tallies[judge];
    let k = match row.cell.wanted {
        Wanted::Keep => tally.count(Outcome::RolledBack),
        Wanted::RollBack => tally.all() - tally.count(Outcome::RolledBack),
        Wanted::NotPromote => tally.count(Outcome::Promoted),
    };
    (k, tally.all())
}

fn percent(k: usize, n: usize) -> f64 {
    100.0 * k as f64 / n.max(1) as f64
}

fn with_interval((k, n): (usize, usize)) -> String {
    let (low, high) = wilson(k, n);
    format!("{:.2} % ({low:.2}–{high:.2})", percent(k, n))
}

fn spread(row: &Row, judge: usize, outcome: Outcome) -> String {
    let tally = &row.tallies[judge];
    let (seconds, requests) = (tally.spread(outcome, |e| e.at_s), tally.spread(outcome, |e| e.requests));
    match (seconds, requests) {
        (Some([low, mid, high]), Some([_, asked, _])) => format!("{mid} s ({low}–{high}), {asked}"),
        _ => "—".to_owned(),
    }
}

fn table(text: &mut String, rows: &[&Row], outcome: Outcome, target: f64, heads: [&str; 2]) {
    let [wrongly, ended] = heads;
    let _never = writeln!(
        text,
        "| rollout | ours: {wrongly} | met | ours: {ended}: time (5–95 %), requests | undecided | Flagger-like: {wrongly} | {ended} | \
         Kayenta-like: {wrongly} | {ended} |\n|---|---|---|---|---|---|---|---|---|"
    );
    for row in rows {
        let (k, n) = wrong(row, 0);
        let met = if percent(k, n) <= target { "yes" } else { "**no**" };
        let undecided = percent(row.tallies[0].count(Outcome::Undecided), n);
        let _never = writeln!(
            text,
            "| {} | {} | {met} | {} | {undecided:.1} % | {:.1} % | {} | {:.1} % | {} |",
            row.cell.name,
            with_interval((k, n)),
            spread(row, 0, outcome),
            percent(wrong(row, 1).0, n),
            spread(row, 1, outcome),
            percent(wrong(row, 2).0, n),
            spread(row, 2, outcome),
        );
    }
}

/// The report's text.
pub fn report(rows: &[Row], how: &str) -> String {
    let of = |wanted: Wanted| rows.iter().filter(|row| row.cell.wanted == wanted).collect::<Vec<_>>();
    let (good, bad, at_limit) = (of(Wanted::Keep), of(Wanted::RollBack), of(Wanted::NotPromote));
    let met = |rows: &[&Row], target: f64| {
        rows.iter().filter(|r| percent(wrong(r, 0).0, wrong(r, 0).1) <= target).count()
    };
    let mut text = String::from(
        "# How well canaries are judged\n\nMade by `make bench-canary`: a seeded simulator of rollouts that shares no code with the judge, every second shown to three judges.\n\
         Ours has the settings that are shipped, looks every second and promotes or rolls back when its evidence suffices (step weights apart: the\n\
         canary keeps its share). *Flagger-like*: 99 % success and a p99 limit half above the service's own, every minute, five failed checks roll back,\n\
         ten checks promote. *Kayenta-like*: Mann-Whitney at 98 % on points of 20 s after a minute of warm-up, each minute, errors critical, marginal 75, pass 95 at\n\
         the tenth minute. Unless said otherwise: 200 requests/s, two routes, 5 % canary, .5 % errors, up to 6,000 requests of the canary. Intervals are\n\
         Wilson's at 95 %; a target is met when the share itself is within it. Times count from the canary's first request, its 30 s of warm-up included. *Undecided* is no\n\
         mistake: the rollout would hold, say how many requests are missing, and go on. The targets were set for errors .5 → 2 % and latency ×1.25; here they\n\
         are asked of every row. What falls short stays in the table.\n\n",
    );
    let _never = writeln!(
        text,
        "{how}\n\n**Targets met: {} of {} healthy regimes (false rollback ≤ {GOOD_TARGET} %), {} of {} bad canaries (missed ≤ {BAD_TARGET} %).**\n",
        met(&good, GOOD_TARGET),
        good.len(),
        met(&bad, BAD_TARGET),
        bad.len(),
    );
    let rolled_back: usize = good.iter().map(|row| wrong(row, 0).0).sum();
    let all: usize = good.iter().map(|row| wrong(row, 0).1).sum();
    let _never = writeln!(
        text,
        "All healthy regimes together: {rolled_back} of {all} rolled back, {}. None wrong in a row of its own leaves room up to its upper bound.\n",
        with_interval((rolled_back, all)),
    );
    text.push_str("## Healthy canaries: rolled back for nothing\n\n");
    table(&mut text, &good, Outcome::Promoted, GOOD_TARGET, ["rolled back", "promoted"]);
    text.push_str("\n## Bad canaries: not rolled back (promoted or still undecided at the end)\n\n");
    table(&mut text, &bad, Outcome::RolledBack, BAD_TARGET, ["missed", "rolled back"]);
    text.push_str("\n## At the limit: wrongly promoted\n\n");
    table(&mut text, &at_limit, Outcome::RolledBack, BAD_TARGET, ["promoted", "rolled back"]);
    text.push_str("\n## Bad canaries that were promoted\n\n| rollout | ours | Flagger-like | Kayenta-like |\n|---|---|---|---|\n");
    for row in &bad {
        let promoted = |judge: usize| {
            with_interval((row.tallies[judge].count(Outcome::Promoted), row.tallies[judge].all()))
        };
        let _never =
            writeln!(text, "| {} | {} | {} | {} |", row.cell.name, promoted(0), promoted(1), promoted(2));
    }
    text
}
