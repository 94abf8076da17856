//! What was said against the truth: delays, misses, precision, who was named, and how sure of it.

use std::collections::BTreeMap;

use crate::mesh::BEGIN_MS;
use crate::replay::{Answer, Cause, Said};
use crate::scenario::Truth;

/// One scenario, judged.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// How restless the mesh was.
    pub regime: &'static str,
    /// Seconds from the fault's beginning to the first right diagnosis; absent: missed.
    pub delay_s: Option<f64>,
    /// Seconds until the z-score rang; absent: missed.
    pub z_delay_s: Option<f64>,
    /// Seconds until chance rang; absent: missed.
    pub random_delay_s: Option<f64>,
    /// Incidents opened.
    pub incidents: usize,
    /// Of them, right in the end.
    pub right: usize,
    /// The first incident names the culprit's service.
    pub service_right: bool,
    /// The first incident names endpoint, version or addresses rightly.
    pub part_right: bool,
    /// Precision and recall of the addresses named.
    pub ips: Option<(f64, f64)>,
    /// (confidence, right) of every incident, as it was opened.
    pub confidences: Vec<(f64, bool)>,
    /// The kinds of cause that go with them.
    pub kinds: Vec<String>,
    /// Actions that the guard let pass alone.
    pub allowed: usize,
    /// Of them, IP blocks.
    pub blocks: usize,
}

/// Judges an answer; without a truth every incident is false.
pub fn judge(answer: &Answer, truth: Option<&Truth>) -> Judged {
    let mut judged = Judged::default();
    let mut last: BTreeMap<&str, &Said> = BTreeMap::new();
    let mut first: Option<&Cause> = None;
    for said in &answer.said {
        let opens = said.line == "incident_opened";
        if let ("incident_opened" | "incident_updated", Some(id)) = (said.line.as_str(), &said.incident) {
            last.insert(id, said);
            let right = truth.is_some_and(|truth| matches(said, truth));
            if right && judged.delay_s.is_none() {
                judged.delay_s = truth.map(|truth| since(said, truth));
            }
            if opens {
                judged.incidents += 1;
                judged.confidences.push((said.confidence, right));
                judged.kinds.push(said.cause.as_ref().map_or_else(String::new, |c| c.kind.clone()));
                first = first.or(said.cause.as_ref());
            }
        }
        if said.line == "action" || said.verdict.as_deref() == Some("allow") {
            judged.allowed += usize::from(said.line == "verdict");
            let kind = said.action.as_ref().map(|a| &a["kind"]["type"]);
            judged.blocks += usize::from(said.line == "verdict" && kind.is_some_and(|k| k == "block_ips"));
        }
    }
    if let Some(truth) = truth {
        judged.right = last.values().filter(|said| matches(said, truth)).count();
        judged.service_right = first.is_some_and(|c| c.service.as_deref() == Some(truth.service));
        judged.part_right = last.values().any(|said| matches(said, truth));
        judged.ips = ips(last.values().filter_map(|said| said.cause.as_ref()), truth);
        let rang = |rings: &[(u64, String)]| {
            let during = |at: u64| (truth.from_s..truth.until_s).contains(&at);
            rings
                .iter()
                .find(|(at, of)| during(*at) && of == truth.service)
                .map(|(at, _)| (at + 1 - truth.from_s) as f64)
        };
        judged.z_delay_s = rang(&answer.floor.z);
        judged.random_delay_s = rang(&answer.floor.random);
    }
    judged
}

fn since(said: &Said, truth: &Truth) -> f64 {
    (said.at_ms - BEGIN_MS) as f64 / 1_000.0 - truth.from_s as f64
}

fn matches(said: &Said, truth: &Truth) -> bool {
    let Some(cause) = &said.cause else { return false };
    // What was said before the fault is a false alarm, whatever it named.
    since(said, truth) > 0.0
        && truth.kinds.contains(&cause.kind.as_str())
        && cause.service.as_deref() == Some(truth.service)
        && truth.endpoint.as_ref().is_none_or(|endpoint| cause.endpoint.as_ref() == Some(endpoint))
        && truth.version.is_none_or(|version| cause.version.as_deref() == Some(version))
        && (truth.ips.is_empty() || !cause.ips.is_empty())
}

fn ips<'a>(causes: impl Iterator<Item = &'a Cause>, truth: &Truth) -> Option<(f64, f64)> {
    if truth.ips.is_empty() {
        return None;
    }
    let named: Vec<&str> = causes.flat_map(|cause| &cause.ips).map(String::as_str).collect();
    let bare = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
    let hits = truth.ips.iter().filter(|ip| named.iter().any(|n| bare(n) == ip.to_string())).count();
    let precision = if named.is_empty() { 0.0 } else { hits as f64 / named.len().max(hits) as f64 };
    Some((precision.min(1.0), hits as f64 / truth.ips.len() as f64))
}

/// The quantile `q` of delays, a miss counting as infinite.
pub fn quantile(delays: &[Option<f64>], q: f64) -> f64 {
    let mut sorted: Vec<f64> = delays.iter().map(|d| d.unwrap_or(f64::INFINITY)).collect();
    sorted.sort_by(f64::total_cmp);
    let at = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Wilson's 95 % interval of a share (1927).
pub fn wilson(hits: usize, of: usize) -> (f64, f64) {
    let (n, z) = (of.max(1) as f64, 1.96);
    let p = hits as f64 / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// Expected calibration error over ten equal bins (Naeini et al., 2015).
pub fn calibration_error(said: &[(f64, bool)]) -> f64 {
    let bin = |n: usize| {
        let inside: Vec<_> = said.iter().filter(|(c, _)| ((c * 10.0) as usize).min(9) == n).collect();
        let sure = inside.iter().map(|(c, _)| c).sum::<f64>();
        let right = inside.iter().filter(|(_, right)| *right).count() as f64;
        (sure - right).abs()
    };
    (0..10).map(bin).sum::<f64>() / said.len().max(1) as f64
}
