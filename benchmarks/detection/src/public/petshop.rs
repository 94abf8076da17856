//! PetShop: a real application's issues with their root causes, as windows for `lightsout replay`.
//!
//! Its rows are five minutes long and hold sums, availability and latency quantiles; a row becomes a minute
//! of one-second windows with the same sums. A service that several call is told of by each in turn. Where the
//! folder is absent this row of the report says so, and nothing else changes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{CALLER_INTERNET, Cell, Window};
use serde::Deserialize;

use crate::mesh::{BEGIN_MS, window};
use crate::replay::{Said, judged_by};

/// Rows of quiet history before each issue: two hours of virtual time.
const HISTORY: usize = 120;
/// Seconds a row becomes.
const ROW_S: u64 = 60;
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// Right, and of how many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    /// Issues whose first incident came to name the root cause.
    pub right: usize,
    /// Issues with any incident.
    pub spoke: usize,
    /// Incidents in the quiet stretches before the issues: each traffic's once, for it is the same each time.
    pub early: usize,
    /// Such stretches.
    pub quiet: usize,
    /// All issues.
    pub of: usize,
}

#[derive(Debug, Deserialize)]
struct Target {
    root_cause: Node,
}

#[derive(Debug, Deserialize)]
struct Node {
    node: String,
}

/// One row: (node, metric, statistic) to value.
type Row = BTreeMap<(String, String, String), f64>;

/// Judges all issues of the folder `petshop`.
///
/// # Errors
/// What is there is not what its description says, or the brain cannot be run.
pub fn judge(folder: &Path, lightsout: &Path) -> Result<Score> {
    let mut score = Score::default();
    for traffic in ["low_traffic", "high_traffic"] {
        let folder = folder.join(traffic);
        let callers = callers(&folder.join("graph.csv"))?;
        let quiet = rows(&folder.join("noissue/metrics.csv"))?;
        let quiet = quiet.get(quiet.len().saturating_sub(HISTORY)..).unwrap_or_default();
        let mut issues: Vec<_> = std::fs::read_dir(folder.join("train"))?.collect::<Result<_, _>>()?;
        issues.sort_by_key(std::fs::DirEntry::path);
        for (n, issue) in issues.into_iter().enumerate() {
            let target: Target = serde_json::from_slice(&std::fs::read(issue.path().join("target.json"))?)?;
            let sick = rows(&issue.path().join("metrics.csv"))?;
            let all: Vec<&Row> = quiet.iter().chain(&sick).collect();
            let said = judged_by(lightsout, windows(&all, &callers))?;
            let began_ms = BEGIN_MS + (quiet.len() as u64 * ROW_S) as i64 * 1_000;
            if n == 0 {
                score.quiet += 1;
                score.early += opened(&said).filter(|s| s.at_ms <= began_ms).count();
            }
            count(&mut score, &said, began_ms, &slug(&target.root_cause.node));
        }
    }
    Ok(score)
}

fn opened(said: &[Said]) -> impl Iterator<Item = &Said> {
    said.iter().filter(|s| s.line == "incident_opened")
}

fn count(score: &mut Score, said: &[Said], began_ms: i64, culprit: &str) {
    score.of += 1;
    let Some(first) = opened(said).find(|s| s.at_ms > began_ms) else { return };
    score.spoke += 1;
    let last = said.iter().rev().find(|s| s.incident == first.incident && s.cause.is_some());
    let named = last.and_then(|s| s.cause.as_ref()).and_then(|c| c.service.as_deref());
    score.right += usize::from(named == Some(culprit));
}

/// Node names hold what no service name may.
fn slug(node: &str) -> String {
    let word: String =
        node.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    word.trim_matches('-').to_lowercase()
}

fn windows(rows: &[&Row], callers: &BTreeMap<String, Vec<String>>) -> Vec<Window> {
    let mut all = Vec::new();
    for second in 0..rows.len() as u64 * ROW_S {
        let Some(row) = rows.get((second / ROW_S) as usize) else { break };
        let mut by_caller: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
        let nodes = row.keys().filter(|(_, metric, _)| metric == "requests").map(|(node, ..)| node);
        for (n, node) in nodes.enumerate() {
            let known = callers.get(node).filter(|c| !c.is_empty());
            let caller = known.map_or(CALLER_INTERNET.to_owned(), |c| slug(&c[second as usize % c.len()]));
            let cell = cell(row, node, n, &caller, second);
            by_caller.entry(caller).or_default().extend(cell);
        }
        let told = |(caller, cells)| Window { cells, ..window(format!("{caller}-1"), second + 1, second) };
        all.extend(by_caller.into_iter().map(told));
    }
    all
}

fn cell(row: &Row, node: &str, n: usize, caller: &str, second: u64) -> Option<Cell> {
    let value = |metric: &str, statistic: &str| {
        row.get(&(node.to_owned(), metric.to_owned(), statistic.to_owned()))
            .copied()
            .filter(|v| v.is_finite())
    };
    let at = second % ROW_S;
    // The sums are dealt out evenly: what was counted up to now less what was counted up to the second before.
    let part =
        |sum: f64| (sum * (at + 1) as f64 / ROW_S as f64) as u64 - (sum * at as f64 / ROW_S as f64) as u64;
    let sum = value("requests", "Sum")?;
    let requests = part(sum);
    let failed = part(sum * (1.0 - value("availability", "Average").unwrap_or(100.0) / 100.0)).min(requests);
    if requests == 0 {
        return None;
    }
    let quantiles: Vec<(f64, f64)> =
        QUANTILES.iter().filter_map(|(name, q)| Some((*q, value("latency", name)? * 1e6))).collect();
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    for request in 0..requests {
        // A golden-ratio walk through the quantiles: even, and the same each time.
        let q = ((second * 131 + request + 1) as f64 * 0.618_033_988_75).fract();
        let us = latency_at(&quantiles, q).unwrap_or(1_000.0);
        *buckets.entry(index_of(us as u64)).or_default() += 1;
    }
    let counts = [("2xx", requests - failed), ("5xx", failed)];
    Some(Cell {
        service: slug(node),
        version: "v1".to_owned(),
        endpoint: format!("10.1.0.{}:80", n + 1),
        route: "default".to_owned(),
        caller: caller.to_owned(),
        requests,
        status: counts.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
        latency: Latency { buckets: buckets.into_iter().collect(), ..Latency::default() },
        in_flight_max: 1,
        ..Cell::default()
    })
}

/// The latency at `q`: on the logarithmic scale between the quantiles that are given, and no further.
fn latency_at(quantiles: &[(f64, f64)], q: f64) -> Option<f64> {
    let after = quantiles.iter().position(|(at, _)| q <= *at);
    match after {
        Some(0) => quantiles.first().map(|(_, us)| *us),
        Some(n) => {
            let ((low, from), (high, to)) = (quantiles[n - 1], quantiles[n]);
            let part = (q - low) / (high - low);
            Some((from.max(1.0).ln() * (1.0 - part) + to.max(1.0).ln() * part).exp())
        }
        None => quantiles.last().map(|(_, us)| *us),
    }
}

fn lines(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect())
}

fn callers(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let lines = lines(path)?;
    let (head, rest) = lines.split_first().context("an empty graph")?;
    let mut callers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in rest {
        let Some((caller, edges)) = line.split_first() else { continue };
        for (callee, edge) in head.iter().skip(1).zip(edges) {
            if edge.parse::<f64>().is_ok_and(|e| e > 0.0) {
                callers.entry(callee.clone()).or_default().push(caller.clone());
            }
        }
    }
    Ok(callers)
}

/// Three lines name the columns, the fourth the index, the others are data.
fn rows(path: &Path) -> Result<Vec<Row>> {
    let lines = lines(path)?;
    let [nodes, metrics, statistics, _, data @ ..] = lines.as_slice() else {
        anyhow::bail!("{}: too short", path.display())
    };
    let names = nodes.iter().zip(metrics).zip(statistics).skip(1);
    let names: Vec<_> = names.map(|((n, m), s)| (n.clone(), m.clone(), s.clone())).collect();
    let row = |line: &Vec<String>| {
        let values = line.iter().skip(1).map(|text| text.parse().unwrap_or(f64::NAN));
        names.iter().cloned().zip(values).collect()
    };
    Ok(data.iter().map(row).collect())
}
