//! The loop as people see it.

use std::collections::BTreeMap;

use protocol::snapshot::{BreakerState, Health};

use super::ControlLoop;
use crate::domain::{AutonomyRow, Budgets, CallView, EndpointView, Expected, ProxyView, ServiceView, View};
use crate::forecast::{HORIZON, History};
use crate::learning::rows;
use crate::state::{Baseline, Endpoint, Hearing, Ring, Service, Sketch, Tally, share};

/// Seconds that count as now.
const LATELY_S: i64 = 10;
const KEPT: usize = 200;
/// Half the width of what is usual, in standard deviations.
const DEVIATIONS: f64 = 3.0;

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
        budgets: budgets(of),
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

fn budgets(of: &ControlLoop) -> Budgets {
    let guard = &of.policies.guard;
    Budgets {
        actions_last_hour: of.ledger.started_lately(of.now_ms),
        actions_per_hour: guard.actions_per_hour,
        reversals_per_hour: guard.reversals_per_hour,
        radius_service: guard.blast_radius.service,
        radius_fleet: guard.blast_radius.fleet,
        radius_requests: guard.blast_radius.requests,
        min_healthy_capacity: guard.min_healthy_capacity,
        four_eyes_above: guard.four_eyes_above,
        cooldown_s: guard.cooldown_s,
    }
}

fn service_view(of: &ControlLoop, name: &str, service: &Service) -> ServiceView {
    let lately = (of.mesh.second - LATELY_S + 1, of.mesh.second);
    let sum = service.ring.sum(lately.0, lately.1);
    let mut sketch: Option<Sketch> = None;
    for endpoint in service.endpoints.values() {
        match &mut sketch {
            Some(all) => all.merge(&endpoint.sketch),
            None => sketch = Some(endpoint.sketch.clone()),
        }
    }
    let quantile = |q: f64| sketch.as_ref().map_or(0.0, |s| s.quantile_ms(q));
    let told = told(of, name);
    let endpoint = |(id, e): (&String, &Endpoint)| endpoint_view(id, e, told.get(id.as_str()), lately);
    let call = |(caller, ring): (&String, &Ring)| {
        let sum = ring.sum(lately.0, lately.1);
        CallView { caller: caller.clone(), rps: rate(sum), failure_share: share(sum.failed, sum.n) }
    };
    let Hearing { mute, lost, silence } = of.mesh.hearing(service, of.now_ms, &|p| of.fleet.contains_key(p));
    let (usual, known) = (service.baseline.pace_at(of.mesh.second).0, service.baseline.learned_s());
    ServiceView {
        service: name.to_owned(),
        rps: rate(sum),
        failure_share: share(sum.failed, sum.n),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        callers: service.callers.keys().cloned().collect(),
        calls: service.edges.iter().filter(|(caller, _)| !caller.is_empty()).map(call).collect(),
        expected: expected(&service.baseline, of.mesh.second, sum),
        learned_s: known,
        silence,
        mute_proxies: mute,
        lost_proxies: lost,
        usual_rps: (known >= of.policies.detection.service.min_learned_s).then_some(usual),
        endpoints: service.endpoints.iter().map(endpoint).collect(),
    }
}

fn endpoint_view(id: &str, of: &Endpoint, told: Option<&Told>, lately: (i64, i64)) -> EndpointView {
    let sum = of.ring.sum(lately.0, lately.1);
    EndpointView {
        endpoint: id.to_owned(),
        version: of.version.clone(),
        rps: rate(sum),
        failure_share: share(sum.failed, sum.n),
        p50_ms: of.sketch.quantile_ms(0.5),
        p99_ms: of.sketch.quantile_ms(0.99),
        weight: told.map(|t| t.weight),
        weight_configured: told.map(|t| t.configured),
        ejected: told.is_some_and(|t| t.ejected),
        health: told.map(|t| t.health),
        breaker: told.map(|t| t.breaker),
    }
}

fn rate(sum: Tally) -> f64 {
    sum.n as f64 / LATELY_S as f64
}

/// The bands of the normal; absent before the pace of requests is known.
fn expected(normal: &Baseline, second: i64, sum: Tally) -> Option<Expected> {
    let (mean, sd) = normal.pace_at(second);
    let quantile = |q: f64| normal.quantile_ms(q);
    let band = |low: f64, high: f64| Some([quantile(low)?, quantile(high)?]);
    let (p, n) = (normal.errors.share(), sum.n.max(1));
    let spread = DEVIATIONS * (p * (1.0 - p) / n as f64 * normal.errors.overdispersion(n)).sqrt();
    let wide = DEVIATIONS * sd.max(mean.sqrt() / (LATELY_S as f64).sqrt());
    let known = Expected {
        rps: [(mean - wide).max(0.0), mean + wide],
        failure_share: [(p - spread).max(0.0), (p + spread).min(1.0)],
        p50_ms: band(0.25, 0.75)?,
        p99_ms: band(0.95, 0.999)?,
    };
    (mean > 0.0).then_some(known)
}

/// What the proxies say of one endpoint: the worst of their words.
struct Told {
    weight: u32,
    configured: u32,
    ejected: bool,
    health: Health,
    breaker: BreakerState,
}

fn told<'a>(of: &'a ControlLoop, service: &str) -> BTreeMap<&'a str, Told> {
    let mut all: BTreeMap<&str, Told> = BTreeMap::new();
    let services = of.fleet.values().flat_map(|p| &p.services);
    for e in services.filter(|s| s.service.as_str() == service).flat_map(|s| &s.endpoints) {
        let entry = all.entry(e.endpoint.as_str()).or_insert_with(|| Told {
            weight: e.weight,
            configured: e.weight_configured,
            ejected: e.ejected,
            health: e.health,
            breaker: e.breaker,
        });
        entry.weight = entry.weight.min(e.weight);
        entry.configured = entry.configured.max(e.weight_configured);
        entry.ejected |= e.ejected;
        if e.health == Health::Unhealthy {
            entry.health = e.health;
        }
        if entry.breaker == BreakerState::Closed || e.breaker == BreakerState::Open {
            entry.breaker = e.breaker;
        }
    }
    all
}

/// Proxies as the telemetry knows them; their action API and reachability are the shell's to add.
fn proxies(of: &ControlLoop) -> Vec<ProxyView> {
    let seen = of.mesh.proxies.iter().map(|(id, reporter)| ProxyView {
        proxy: id.clone(),
        admin: String::new(),
        last_window_ms: reporter.last_window_ms,
        reachable: of.fleet.contains_key(id),
        windows_refused: reporter.refused,
        version: None,
        config_hash: None,
        frozen: false,
        leases: 0,
    });
    seen.collect()
}
