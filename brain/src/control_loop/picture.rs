//! The loop as people see it.

use std::collections::BTreeMap;

use super::ControlLoop;
use crate::domain::{AutonomyRow, EndpointView, ProxyView, ServiceView, View};
use crate::forecast::{HORIZON, History};
use crate::learning::rows;
use crate::state::{Endpoint, Hearing, Service, Sketch, share};

/// Seconds that count as now.
const LATELY_S: i64 = 10;
const KEPT: usize = 200;

pub(super) fn view(of: &ControlLoop) -> View {
    let bounded = |n: usize| n.min(KEPT);
    let (mut incidents, mut proposals, mut actions) = (of.book.incidents(), of.desk.all(), of.leases.all());
    incidents.truncate(bounded(incidents.len()));
    proposals.truncate(bounded(proposals.len()));
    actions.truncate(bounded(actions.len()));
    View {
        at_ms: of.now_ms,
        mode: of.mode,
        frozen: of.frozen,
        epoch: of.options.epoch,
        services: of.mesh.services.iter().map(|(name, service)| service_view(of, name, service)).collect(),
        incidents,
        proposals,
        actions,
        proxies: proxies(of),
        autonomy: autonomy(of),
        canaries: of.rollouts.views(),
    }
}

/// What the load to come can be told from, by service.
pub(super) fn histories(of: &ControlLoop) -> Vec<History> {
    let history = |(name, service): (&String, &Service)| {
        let (rates, end_s) = service.minutes.rates();
        let season = service.baseline.season();
        let first = end_s - 60 * rates.len() as i64;
        // The middle of each minute.
        let minutes = (0..rates.len() + HORIZON).map(|n| first + 60 * n as i64 + 30);
        let season = minutes.map(|second| season.offset(second)).collect();
        History { service: name.clone(), end_s, rates, season }
    };
    of.mesh.services.iter().map(history).collect()
}

fn autonomy(of: &ControlLoop) -> Vec<AutonomyRow> {
    let guard = &of.policies.guard;
    let mode = |kind: &str| of.ledger.effective_mode(kind, of.mode, guard, of.now_ms);
    rows(&of.learned, guard, of.now_ms, mode)
}

fn service_view(of: &ControlLoop, name: &str, service: &Service) -> ServiceView {
    let (from, to) = (of.mesh.second - LATELY_S + 1, of.mesh.second);
    let sum = service.ring.sum(from, to);
    let mut sketch: Option<Sketch> = None;
    for endpoint in service.endpoints.values() {
        match &mut sketch {
            Some(all) => all.merge(&endpoint.sketch),
            None => sketch = Some(endpoint.sketch.clone()),
        }
    }
    let quantile = |q: f64| sketch.as_ref().map_or(0.0, |s| s.quantile_ms(q));
    let told = weights(of, name);
    let endpoint = |(id, e): (&String, &Endpoint)| {
        let sum = e.ring.sum(from, to);
        let told = told.get(id);
        EndpointView {
            endpoint: id.clone(),
            version: e.version.clone(),
            rps: sum.n as f64 / LATELY_S as f64,
            failure_share: share(sum.failed, sum.n),
            p99_ms: e.sketch.quantile_ms(0.99),
            weight: told.map(|t| t.0),
            ejected: told.is_some_and(|t| t.1),
        }
    };
    let Hearing { mute, lost, silence } = of.mesh.hearing(service, of.now_ms, &|p| of.fleet.contains_key(p));
    let (usual, known) = (service.baseline.pace_at(of.mesh.second).0, service.baseline.learned_s());
    ServiceView {
        service: name.to_owned(),
        rps: sum.n as f64 / LATELY_S as f64,
        failure_share: share(sum.failed, sum.n),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        callers: service.callers.keys().cloned().collect(),
        learned_s: known,
        silence,
        mute_proxies: mute,
        lost_proxies: lost,
        usual_rps: (known >= of.policies.detection.service.min_learned_s).then_some(usual),
        endpoints: service.endpoints.iter().map(endpoint).collect(),
    }
}

/// By endpoint: the least weight that any proxy gives it now, and whether any has it ejected.
fn weights(of: &ControlLoop, service: &str) -> BTreeMap<String, (u32, bool)> {
    let mut told: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    let services = of.fleet.values().flat_map(|p| &p.services);
    for endpoint in services.filter(|s| s.service.as_str() == service).flat_map(|s| &s.endpoints) {
        let entry = told.entry(endpoint.endpoint.to_string()).or_insert((u32::MAX, false));
        entry.0 = entry.0.min(endpoint.weight);
        entry.1 |= endpoint.ejected;
    }
    told
}

/// Proxies as the telemetry knows them; their action API and reachability are the shell's to add.
fn proxies(of: &ControlLoop) -> Vec<ProxyView> {
    let seen = of.mesh.proxies.iter().map(|(id, reporter)| ProxyView {
        proxy: id.clone(),
        admin: String::new(),
        last_window_ms: reporter.last_window_ms,
        reachable: of.fleet.contains_key(id),
        windows_refused: reporter.refused,
    });
    seen.collect()
}
