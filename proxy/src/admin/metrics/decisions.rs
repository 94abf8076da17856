//! What was decided of whether clients may.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::table::Table;

/// By decision, where any is made.
pub(super) fn families(table: &Table) -> Vec<MetricFamily> {
    let Some(authorizer) = &table.live.settings.security.authorization else { return Vec::new() };
    let mut decisions = Family::counter(
        "proxy_authorization_decisions_total",
        "Requests by what was decided of whether they are allowed; error: a policy could not be evaluated.",
    );
    let mode = ("mode", if authorizer.shadow { "shadow" } else { "enforce" });
    let counts = &authorizer.counts;
    for (decision, n) in [("allow", &counts.allowed), ("deny", &counts.denied), ("error", &counts.broken)] {
        decisions.add(&[("decision", decision), mode], n.load(Ordering::Relaxed) as f64);
    }
    vec![decisions.done()]
}
