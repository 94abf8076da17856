//! From a look to what is counted, stratum by stratum in the order of their names.

use std::collections::BTreeMap;

use super::MAX_STRATA;
use super::hypergeometric::Split;
use super::look::{Counts, Look, StratumCounts};
use super::reference::Reference;

/// Where strata beyond the bound are put together.
const OTHERS: &str = "(others)";

/// The look's strata by name: repeated ones added up, those beyond the bound put together.
pub(super) fn merge(look: &Look, known: &BTreeMap<String, Reference>) -> BTreeMap<String, StratumCounts> {
    let mut sorted: Vec<&StratumCounts> = look.strata.iter().collect();
    sorted.sort_by(|a, b| a.stratum.cmp(&b.stratum));
    let mut merged: BTreeMap<String, StratumCounts> = BTreeMap::new();
    let mut new = 0;
    for counts in sorted {
        let mut name = counts.stratum.as_str();
        if !known.contains_key(name) && !merged.contains_key(name) {
            if known.len() + new >= MAX_STRATA {
                name = OTHERS;
            } else {
                new += 1;
            }
        }
        let into = merged.entry(name.to_owned()).or_default();
        add(&mut into.stable, &counts.stable);
        add(&mut into.canary, &counts.canary);
    }
    merged
}

fn add(into: &mut Counts, counts: &Counts) {
    let (requests, failures, hard) = counts.sane();
    into.requests = into.requests.saturating_add(requests);
    into.failures = into.failures.saturating_add(failures);
    into.hard_failures = into.hard_failures.saturating_add(hard);
    into.add_latency(&counts.latency);
}

/// Failed requests.
pub(super) fn failures<'a>(strata: &[(&'a str, &StratumCounts)]) -> Vec<(&'a str, Split)> {
    let one = |(name, counts): &(&'a str, &StratumCounts)| {
        let (canary, canary_bad, _) = counts.canary.sane();
        let (stable, stable_bad, _) = counts.stable.sane();
        (*name, Split { canary, canary_bad, stable, stable_bad })
    };
    strata.iter().map(one).collect()
}

/// The canary's requests and failures over all strata.
pub(super) fn canary_failures(strata: &[(&str, &StratumCounts)]) -> (u64, u64) {
    strata.iter().fold((0, 0), |(n, bad), (_, counts)| {
        let (requests, failures, _) = counts.canary.sane();
        (u64::saturating_add(n, requests), u64::saturating_add(bad, failures))
    })
}
