//! What came of limits on how often clients may ask.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::table::Table;

/// By rule, for rules in force.
pub(super) fn by_rule(table: &Table) -> Vec<MetricFamily> {
    let Some(rates) = &table.rates else { return Vec::new() };
    let mut refused = Family::counter(
        "proxy_rate_limited_total",
        "Requests over a limit of how often clients may ask, by rule; spared: a dry run let them through.",
    );
    for rule in &rates.rules {
        let name = ("rule", rule.terms.name.as_str());
        for (result, n) in [("refused", &rule.counts.refused), ("spared", &rule.counts.spared)] {
            refused.add(&[name, ("result", result)], n.load(Ordering::Relaxed) as f64);
        }
    }
    let mut forgotten = Family::counter(
        "proxy_rate_limit_keys_forgotten_total",
        "Keys forgotten before they were even with their rate, because rate_limit.max_keys are too few.",
    );
    forgotten.add(&[], rates.buckets.forgotten() as f64);
    vec![refused.done(), forgotten.done()]
}
