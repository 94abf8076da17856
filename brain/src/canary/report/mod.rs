//! A page about one rollout that a release manager can file: Markdown, or HTML with its plots in it.
//!
//! Pure: text from what the brain recorded. Whatever traffic or people named is escaped.

mod html;
mod markdown;
mod plot;

pub use html::html;
pub use markdown::markdown;

use super::judge::Evidence;
use super::{CanaryDetail, Phase};

/// Facts as both pages tell them: what, and its value.
fn facts(canary: &CanaryDetail) -> Vec<(&'static str, String)> {
    let view = &canary.view;
    let mut facts = vec![
        ("Service", view.service.clone()),
        ("Stable version", view.stable.clone()),
        ("Version on trial", view.canary.clone()),
        ("Steps", view.steps.iter().map(|w| format!("{w} %")).collect::<Vec<_>>().join(", ")),
        ("Asked for by", view.by.clone()),
        ("Begun", instant(view.created_ms)),
    ];
    if let Some(ended_ms) = view.ended_ms {
        facts.push(("Over", instant(ended_ms)));
        facts.push(("Took", span(ended_ms - view.created_ms)));
    }
    let totals = &view.totals;
    facts.push(("Requests at the version on trial", counted(totals.canary, totals.canary_failed)));
    facts.push(("Requests at the stable version", counted(totals.stable, totals.stable_failed)));
    if let Some(preview) = &canary.spec.preview {
        let previewed = &canary.record.previewed;
        let asked = counted(previewed.canary, previewed.canary_failed);
        facts.push(("Requests that asked for it before that", format!("{asked}, by {}", preview.key)));
    }
    if let Some(budget) = &view.budget {
        facts.push(("Error budget", budget.words()));
    }
    facts
}

fn headline(canary: &CanaryDetail) -> String {
    let view = &canary.view;
    let what = match view.phase {
        Phase::Promoted => "promoted",
        Phase::RolledBack => "rolled back",
        Phase::Undecided => "ended undecided",
        Phase::Finished => "read out",
        _ => "under way",
    };
    format!("{} {}: {what}", view.service, view.canary)
}

fn counted(all: u64, failed: u64) -> String {
    let share = failed as f64 * 100.0 / all.max(1) as f64;
    format!("{all}, of them {failed} failed ({share:.2} %)")
}

/// Odds from here on bound nothing.
const BOUNDLESS: f64 = 1_000.0;

/// One line a metric: name, bad at the canary, bad at stable, odds with bounds, evidence against and for.
fn evidence_rows(canary: &CanaryDetail) -> Vec<[String; 6]> {
    let Ok(evidence) = serde_json::from_value::<Evidence>(canary.view.evidence.clone()) else {
        return Vec::new();
    };
    let share =
        |(bad, n): (u64, u64)| format!("{bad} of {n} ({:.2} %)", bad as f64 * 100.0 / n.max(1) as f64);
    let e = |log_e: f64| {
        if log_e > 20.0 { format!("10^{:.0}", log_e / 10f64.ln()) } else { format!("{:.3}", log_e.exp()) }
    };
    let rows = evidence.metrics.into_iter().map(|metric| {
        let odds = metric.odds.map_or_else(
            || "-".to_owned(),
            |odds| {
                let high = if odds.high < BOUNDLESS { format!("{:.2}", odds.high) } else { "∞".to_owned() };
                format!("{:.2} to {high}", odds.low)
            },
        );
        [
            metric.metric,
            share(metric.canary),
            share(metric.stable),
            odds,
            e(metric.log_e_bad),
            e(metric.log_e_good),
        ]
    });
    rows.collect()
}

const EVIDENCE_HEADS: [&str; 6] = [
    "Metric",
    "Bad at the version on trial",
    "Bad at stable",
    "Odds, 95 % at any time",
    "E-value against",
    "E-value for",
];

/// What is drawn: title, unit, series by name as (seconds since the beginning, value).
struct Plot {
    title: &'static str,
    unit: &'static str,
    series: Vec<(&'static str, Vec<(f64, f64)>)>,
}

fn plots(canary: &CanaryDetail) -> Vec<Plot> {
    let from_ms = canary.view.created_ms;
    let at = |ms: i64| (ms - from_ms) as f64 / 1_000.0;
    let mut share: Vec<(f64, f64)> = Vec::new();
    for entry in &canary.record.moves {
        if let Some((_, before)) = share.last().copied() {
            share.push((at(entry.at_ms), before));
        }
        share.push((at(entry.at_ms), f64::from(entry.weight)));
    }
    let points = &canary.record.points;
    let failed = |bad: u64, all: u64| bad as f64 * 100.0 / all.max(1) as f64;
    let over = |value: &dyn Fn(&super::Point) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|p| Some((at(p.at_ms), value(p)?))).collect()
    };
    let against = over(&|p| p.evidence["log_e_bad"].as_f64());
    let needed = over(&|p| p.needs.map(|n| n as f64));
    let canary_failed = over(&|p| Some(failed(p.totals.canary_failed, p.totals.canary)));
    let stable_failed = over(&|p| Some(failed(p.totals.stable_failed, p.totals.stable)));
    vec![
        Plot { title: "Share of the traffic", unit: "%", series: vec![("on trial", share)] },
        Plot {
            title: "Failed requests so far",
            unit: "%",
            series: vec![("on trial", canary_failed), ("stable", stable_failed)],
        },
        Plot { title: "Evidence against it", unit: "ln e", series: vec![("against", against)] },
        Plot { title: "Requests still needed", unit: "requests", series: vec![("needed", needed)] },
    ]
}

fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Canary, CanarySpec};
    use super::*;
    use crate::domain::{Actor, ActorKind};

    fn detail() -> CanaryDetail {
        let spec: CanarySpec =
            serde_json::from_str(r#"{"service": "cart", "stable": "v1", "canary": "v2"}"#).unwrap();
        let by = Actor { kind: ActorKind::Person, id: "<ada|bob>".into() };
        let mut detail = Canary::new("can-1".into(), spec, by, 1_700_000_000_000).detail();
        for n in 0..3_i64 {
            detail.record.points.push(super::super::Point {
                at_ms: 1_700_000_000_000 + n * 10_000,
                weight: 5,
                totals: super::super::Totals { stable: 100, stable_failed: 1, canary: 10, canary_failed: 2 },
                needs: Some(100 - n as u64),
                evidence: serde_json::json!({ "log_e_bad": n }),
            });
        }
        detail
    }

    #[test]
    fn the_page_tells_the_facts_and_escapes_what_people_named() {
        let page = html(&detail());
        assert!(page.contains("<svg") && page.contains("cart v2: under way"), "{page}");
        assert!(page.contains("&lt;ada|bob&gt;") && !page.contains("<ada"), "{page}");
        let text = markdown(&detail());
        assert!(text.contains("xychart-beta") && text.contains("2023-11-14 22:13:20 UTC"), "{text}");
        assert!(text.contains("&lt;ada\\|bob>"), "{text}");
        assert!(text.contains("0.00 to ∞"), "what is not known has no number: {text}");
    }
}
