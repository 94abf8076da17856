//! How near the process is to its bounds, and what it has turned away for that.

use prometheus::proto::MetricFamily;

use super::Readings;
use super::family::{Family, gauge};
use crate::control::View;
use crate::overload::Usage;

/// There from the start, so that a rate sees the first one.
const REASONS: [&str; 3] = ["descriptors", "max_connections", "overload"];

pub(super) fn families(readings: &Readings, view: &View) -> [MetricFamily; 4] {
    let pressure = readings.pressure;
    let mut refused =
        Family::counter("proxy_connections_refused_total", "Client connections closed at once, by reason.");
    for reason in REASONS {
        let count = readings.traffic.refused_connections.get(reason).copied().unwrap_or_default();
        refused.add(&[("reason", reason)], count as f64);
    }
    let mut shares =
        Family::gauge("proxy_overload_pressure_ratio", "In use of what the process may use, by resource.");
    for (resource, usage) in [("memory", pressure.memory), ("descriptors", pressure.descriptors)] {
        usage.map(Usage::share).iter().for_each(|share| shares.add(&[("resource", resource)], *share));
    }
    let level = f64::from(pressure.level as u8);
    let most = view.table.live.settings.server.max_connections;
    [
        refused.done(),
        shares.done(),
        gauge("proxy_overload_level", "0 calm, 1 sheds requests, 2 closes new connections.", level),
        gauge("proxy_max_connections", "Client connections that may be open at once.", most as f64),
    ]
}
