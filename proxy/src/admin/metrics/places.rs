//! How full services are, where their requests are limited.

use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::table::Table;

/// By service, for services with limits.
pub(super) fn by_service(table: &Table) -> Vec<MetricFamily> {
    let mut taken =
        Family::gauge("proxy_service_in_flight_requests", "Requests that have a place at a limited service.");
    let mut waiting = Family::gauge("proxy_service_pending_requests", "Requests that wait for a place.");
    let mut limit = Family::gauge(
        "proxy_service_request_limit",
        "Requests at once that a service is given: the configured limit or the one that found itself.",
    );
    for (service, table) in &table.services {
        let limits = table.gate.as_ref().zip(table.live.settings.limits.as_ref());
        let Some((gate, limits)) = limits else { continue };
        let labels = [("service", service.as_str())];
        taken.add(&labels, f64::from(gate.in_flight()));
        waiting.add(&labels, f64::from(gate.pending()));
        let most = gate.limit().min(limits.max_requests.unwrap_or(u32::MAX));
        if most < u32::MAX {
            limit.add(&labels, f64::from(most));
        }
    }
    vec![taken.done(), waiting.done(), limit.done()]
}
