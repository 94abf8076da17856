//! The families of measurements, each over its seeds; one row of the report a figure.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use indicatif::ProgressBar;

use crate::fault::Kind;
use crate::regime::Regime;
use crate::replay::replay;
use crate::scenario::{self, Scenario};
use crate::score::{Judged, calibration_error, judge, quantile, wilson};

/// One line of the report.
#[derive(Debug)]
pub struct Row {
    /// What is measured.
    pub what: String,
    /// What was asked for.
    pub target: &'static str,
    /// What was reached.
    pub reached: String,
    /// Whether that is enough.
    pub met: bool,
    /// The rolling z-score and chance, on the same runs.
    pub floor: String,
    /// How many runs, or weeks.
    pub runs: String,
}

/// Runs everything.
pub struct Measure<'a> {
    /// The program.
    pub lightsout: &'a Path,
    /// The first seed.
    pub seed: u64,
    /// Told after each run.
    pub bar: &'a ProgressBar,
    /// Where every incident is noted with what was said of it and whether it was right, for fitting.
    pub incidents: Option<&'a std::fs::File>,
}

impl Measure<'_> {
    fn run(&self, runs: u64, scenario: impl Fn(u64) -> Scenario) -> Result<Vec<Judged>> {
        let mut all = Vec::new();
        for seed in self.seed..self.seed + runs {
            let scenario = scenario(seed);
            let answer = replay(self.lightsout, &scenario, seed)?;
            self.bar.inc(1);
            let mut judged = judge(&answer, scenario.truth.as_ref());
            judged.regime = scenario.regime.name();
            self.note(&scenario, seed, &judged)?;
            all.push(judged);
        }
        Ok(all)
    }

    /// One line an incident: what calibration is fitted to.
    fn note(&self, scenario: &Scenario, seed: u64, judged: &Judged) -> Result<()> {
        let Some(mut to) = self.incidents else { return Ok(()) };
        let fault = scenario.faults.first().map_or_else(String::new, |fault| format!("{:?}", fault.kind));
        for ((confidence, right), kind) in judged.confidences.iter().zip(&judged.kinds) {
            let line = serde_json::json!({
                "fault": fault, "seed": seed, "kind": kind, "confidence": confidence, "right": right,
            });
            writeln!(to, "{line}")?;
        }
        Ok(())
    }

    /// Delays of faults at one service.
    pub fn delays(&self, runs: u64) -> Result<Vec<Row>> {
        let all = Kind::ServiceErrors { added: 1.0 };
        let share = |added| Kind::ServiceErrors { added };
        let gray = Kind::EndpointErrors { endpoint: 2, added: 0.05 };
        let families = [
            ("hard down, 200 rps", 200.0, all, (3.0, 3.0, 0.0), "p95 <= 3 s"),
            ("+5 pp errors, 200 rps", 200.0, share(0.05), (3.0, 10.0, 0.0), "median <= 3 s, p95 <= 10 s"),
            (
                "+2 pp errors, 200 rps",
                200.0,
                share(0.02),
                (15.0, f64::INFINITY, 0.1),
                "median <= 15 s, missed <= 10 %",
            ),
            ("+10 pp errors, 20 rps", 20.0, share(0.10), (15.0, 15.0, 0.0), "p95 <= 15 s"),
            ("+50 pp errors, 2 rps", 2.0, share(0.50), (20.0, 20.0, 0.0), "p95 <= 20 s"),
            ("gray: +5 pp at 1 of 5 endpoints, 200 rps", 200.0, gray, (25.0, 25.0, 0.0), "p95 <= 25 s"),
        ];
        let mut rows = Vec::new();
        for (what, rps, kind, bounds, target) in families {
            let judged = self.run(runs, |seed| scenario::one_fault(rps, kind.clone(), seed))?;
            rows.push(delay_row(what, target, bounds, &judged));
            if what.starts_with("gray") {
                let right = judged.iter().filter(|j| j.part_right).count();
                rows.push(share_row("gray: the endpoint is named", ">= .99", 0.99, right, judged.len()));
            }
        }
        Ok(rows)
    }

    /// The suite of faults in the shop.
    pub fn suite(&self, runs: u64) -> Result<Vec<Row>> {
        let (mut rows, mut all) = (Vec::new(), Vec::new());
        let mut parts = Vec::new();
        for (what, service, kind) in scenario::suite() {
            let judged = self.run(runs, |seed| scenario::in_the_shop(service, kind.clone(), seed))?;
            rows.push(delay_row(&format!("suite: {what}"), "", (f64::INFINITY, f64::INFINITY, 1.0), &judged));
            rows.extend(addresses(&format!("suite: {what}"), &judged));
            if matches!(
                kind,
                Kind::EndpointDown { .. }
                    | Kind::EndpointErrors { .. }
                    | Kind::EndpointSlow { .. }
                    | Kind::VersionErrors { .. }
            ) {
                parts.extend(judged.iter().map(|j| j.part_right));
            }
            all.extend(judged);
        }
        let sum = |of: fn(&Judged) -> usize| all.iter().map(of).sum::<usize>();
        let found = all.iter().filter(|j| j.delay_s.is_some()).count();
        let named = all.iter().filter(|j| j.service_right).count();
        let spoke = all.iter().filter(|j| j.incidents > 0).count();
        let part = parts.iter().filter(|right| **right).count();
        let confidences: Vec<_> = all.iter().flat_map(|j| j.confidences.clone()).collect();
        let error = calibration_error(&confidences);
        rows.extend([
            share_row(
                "suite: precision of incidents",
                ">= .90",
                0.90,
                sum(|j| j.right),
                sum(|j| j.incidents),
            ),
            share_row("suite: recall of faults", ">= .95", 0.95, found, all.len()),
            share_row("suite: the first incident names the service", ">= .90", 0.90, named, spoke),
            share_row("suite: version or endpoint is named", ">= .95", 0.95, part, parts.len()),
            Row {
                what: "suite: calibration error of the confidence".to_owned(),
                target: "<= .05",
                reached: format!("{error:.3}"),
                met: error <= 0.05,
                floor: String::new(),
                runs: format!("{} incidents", confidences.len()),
            },
        ]);
        Ok(rows)
    }

    /// Botnets: told apart from the suite, for nobody of them stands out alone.
    pub fn botnets(&self, runs: u64) -> Result<Vec<Row>> {
        let judged = self.run(runs, scenario::botnet)?;
        let what = "botnet: 200 to 500 addresses of 2 rps each";
        let mut rows = vec![delay_row(what, "", (f64::INFINITY, f64::INFINITY, 1.0), &judged)];
        rows.extend(addresses(what, &judged));
        Ok(rows)
    }

    /// What retries hide from every client and every single number: told apart from the suite, for no client suffers.
    pub fn hidden(&self, runs: u64) -> Result<Vec<Row>> {
        let hidden = |seed| scenario::in_the_shop("cart", Kind::Hidden { share: 0.10 }, seed);
        let judged = self.run(runs, hidden)?;
        let unbounded = (f64::INFINITY, f64::INFINITY, 1.0);
        let named = judged.iter().filter(|j| j.service_right).count();
        Ok(vec![
            delay_row("10 % of attempts made again, hidden from clients", "", unbounded, &judged),
            share_row("what is hidden: the service is named", "", 0.0, named, judged.len()),
        ])
    }

    /// Quiet days and flash crowds: silence is the right answer.
    pub fn quiet(&self, runs: u64, days: u64, crowds: u64) -> Result<Vec<Row>> {
        let (mut false_alarms, mut allowed, mut z, mut weeks) = (0, 0, 0, 0.0);
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for seed in self.seed..self.seed + runs {
            let scenario = scenario::quiet(days, seed);
            let answer = replay(self.lightsout, &scenario, seed)?;
            self.bar.inc(1);
            let judged = judge(&answer, None);
            false_alarms += judged.incidents;
            judged.kinds.iter().for_each(|kind| *kinds.entry(kind.clone()).or_default() += 1);
            allowed += judged.allowed;
            z += answer.floor.z.len();
            weeks += days as f64 / 7.0 * scenario.services.len() as f64;
        }
        let rate = false_alarms as f64 / weeks;
        let of_kinds: String = kinds.iter().map(|(kind, n)| format!(", {n} {kind}")).collect();
        let crowds = self.run(crowds, scenario::flash_crowd)?;
        let blocks: usize = crowds.iter().map(|j| j.blocks).sum();
        let over = format!("{weeks:.1} service-weeks");
        let row = |what: &str, target, reached: String, met, floor: String, runs: String| Row {
            what: what.to_owned(),
            target,
            reached,
            met,
            floor,
            runs,
        };
        Ok(vec![
            row(
                "false alarms per service-week",
                "<= 1",
                format!("{rate:.2} ({false_alarms} in all{of_kinds}){}", few(weeks >= 10.0)),
                rate <= 1.0 && weeks >= 10.0,
                format!("z: {:.0}", z as f64 / weeks),
                over.clone(),
            ),
            row(
                "wrong automatic actions",
                "0 in 60 service-weeks",
                format!("{allowed}{}", few(weeks >= 60.0)),
                allowed == 0 && weeks >= 60.0,
                String::new(),
                over,
            ),
            row(
                "IP blocks in flash crowds",
                "0 in 100",
                format!("{blocks}{}", few(crowds.len() >= 100)),
                blocks == 0 && crowds.len() >= 100,
                String::new(),
                format!("{} crowds", crowds.len()),
            ),
        ])
    }
}

/// The target that another report is about, said so.
#[must_use]
pub fn canaries() -> Row {
    Row {
        what: "canary: false rollback, missed faults".to_owned(),
        target: "",
        reached: "see `benchmarks/canary.md`, by `make bench-canary`".to_owned(),
        met: false,
        floor: String::new(),
        runs: String::new(),
    }
}

/// Nothing seen in too short a time shows nothing.
fn few(enough: bool) -> &'static str {
    if enough { "" } else { ", too few to tell" }
}

fn delay_row(what: &str, target: &'static str, bounds: (f64, f64, f64), judged: &[Judged]) -> Row {
    let delays: Vec<_> = judged.iter().map(|j| j.delay_s).collect();
    let missed = delays.iter().filter(|d| d.is_none()).count();
    let (median, p95) = (quantile(&delays, 0.5), quantile(&delays, 0.95));
    let floor = |of: fn(&Judged) -> Option<f64>| {
        let delays: Vec<_> = judged.iter().map(of).collect();
        let missed = delays.iter().filter(|d| d.is_none()).count();
        format!("{} (missed {missed})", seconds(quantile(&delays, 0.5)))
    };
    let share = missed as f64 / judged.len().max(1) as f64;
    Row {
        what: what.to_owned(),
        target,
        reached: format!(
            "median {}, p95 {}, missed {missed} ({})",
            seconds(median),
            seconds(p95),
            by_regime(judged)
        ),
        met: median <= bounds.0 && p95 <= bounds.1 && share <= bounds.2.max(0.05),
        floor: format!("z: {}; chance: {}", floor(|j| j.z_delay_s), floor(|j| j.random_delay_s)),
        runs: format!("{}", judged.len()),
    }
}

/// Median and misses of each regime: what a mean over regimes would hide.
fn by_regime(judged: &[Judged]) -> String {
    let of = |regime: Regime| {
        let delays: Vec<_> = judged.iter().filter(|j| j.regime == regime.name()).map(|j| j.delay_s).collect();
        let missed = delays.iter().filter(|d| d.is_none()).count();
        let (name, median) = (regime.name(), quantile(&delays, 0.5));
        if missed > 0 {
            format!("{name} {}, {missed} of {} missed", seconds(median), delays.len())
        } else {
            format!("{name} {}", seconds(median))
        }
    };
    Regime::ALL.map(of).join("; ")
}

fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{value:.0} s") } else { "never".to_owned() }
}

fn share_row(what: &str, target: &'static str, least: f64, hits: usize, of: usize) -> Row {
    let share = hits as f64 / of.max(1) as f64;
    let (low, high) = wilson(hits, of);
    Row {
        what: what.to_owned(),
        target,
        reached: format!("{share:.3} ({low:.3} to {high:.3})"),
        met: share >= least,
        floor: String::new(),
        runs: format!("{hits} of {of}"),
    }
}

fn addresses(what: &str, judged: &[Judged]) -> Option<Row> {
    let all: Vec<(f64, f64)> = judged.iter().filter_map(|j| j.ips).collect();
    if all.is_empty() {
        return None;
    }
    let n = all.len() as f64;
    let (precision, recall) = all.iter().fold((0.0, 0.0), |(p, r), ip| (p + ip.0 / n, r + ip.1 / n));
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    let (target, least) = if what.contains("one") { (">= .99", 0.99) } else { ("F1 >= .90", 0.90) };
    Some(Row {
        what: format!("{what}, named"),
        target,
        reached: format!("F1 {f1:.3} (precision {precision:.3}, recall {recall:.3})"),
        met: f1 >= least,
        floor: String::new(),
        runs: format!("{}", all.len()),
    })
}
