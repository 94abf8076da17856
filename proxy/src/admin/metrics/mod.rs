//! `GET /metrics`: the promised names, collected at the moment of asking from what the workers count
//! for themselves, so that nothing is locked per request. Labels are services and endpoints of the
//! configuration, never a path or a client.

mod control;
mod decisions;
mod family;
mod overload;
mod places;
mod process;
mod rates;
mod sinks;
mod traffic;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use super::Shared;
use super::answer::Refused;
use crate::observability::Sinks;
use crate::overload::Pressure;
use crate::telemetry::shard::ShardSnapshot;

/// What has been counted since the start.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// By all workers, added up.
    pub traffic: ShardSnapshot,
    /// Telemetry windows that found no room.
    pub windows_dropped: u64,
    /// What is in use of memory and descriptors.
    pub pressure: Pressure,
    /// The access log and the spans' exporter, where there are any.
    pub sinks: Sinks,
}

/// Promised names that do not follow the conventions of the format; promtool says so of each.
const UNCONVENTIONAL: [&str; 2] = ["proxy_response_time_histogram", "proxy_total_connections"];

/// A query that leaves out what promtool has something against, and what stands under a conventional
/// name too. Whatever else is asked is not understood, and does not keep anyone from the metrics.
const CONVENTIONAL: &str = "names=conventional";

pub(super) async fn metrics(State(admin): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let mut families = families(&admin);
    if query.as_deref() == Some(CONVENTIONAL) {
        families.retain(|family| !UNCONVENTIONAL.contains(&family.name()));
    }
    match exposition(families) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(why) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).into_response(),
    }
}

fn families(admin: &Shared) -> Vec<MetricFamily> {
    let (readings, view) = ((admin.readings)(), admin.control.view());
    let mut families = traffic::in_all(&readings.traffic);
    families.extend(traffic::by_route(&readings.traffic));
    families.extend(traffic::by_endpoint(&readings.traffic, &view.table));
    families.extend(places::by_service(&view.table));
    families.extend(rates::by_rule(&view.table));
    families.extend(decisions::families(&view.table));
    families.extend(control::families(&view, &readings, &admin.control.reloads.seen()));
    families.extend(sinks::families(&readings.sinks));
    families.extend(overload::families(&readings, &view));
    families.extend(process::families(view.uptime));
    let help = "Actions and other writes on the admin listener that were refused.";
    families.push(family::counter("proxy_actions_refused_total", help, admin.refusals.count()));
    // The registry refuses a family without series; one that has none yet is left out.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// One scrape's worth of readings.
struct Scrape(Vec<MetricFamily>);

impl Collector for Scrape {
    /// None: the registry then does not check for duplicates, of which a single collector has none.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.clone()
    }
}

fn exposition(families: Vec<MetricFamily>) -> prometheus::Result<String> {
    let registry = Registry::new();
    registry.register(Box::new(Scrape(families)))?;
    TextEncoder::new().encode_to_string(&registry.gather())
}
