//! The one task that ejects and lets back, of all services, on the control runtime.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::id::ServiceName;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::judge::{Reading, Verdict, judge};
use crate::clock;
use crate::settings::Outliers;
use crate::table::{EndpointHandle, ServiceTable, SharedTable};
use crate::upstream::weather;

/// How often it looks by itself: how late an endpoint may be back.
const LOOK: Duration = Duration::from_millis(100);

/// Rung by workers that have seen enough.
static ALARM: Notify = Notify::const_new();

/// Somebody should judge.
pub fn ring() {
    ALARM.notify_one();
}

/// Judges until `shutdown`.
pub async fn run(table: SharedTable, shutdown: CancellationToken) {
    let mut intervals = HashMap::new();
    while !shutdown.is_cancelled() {
        let current = table.load_full();
        intervals.retain(|name, _| current.services.contains_key(name));
        for (name, service) in &current.services {
            look(name, service, &mut intervals, clock::now_ms());
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = ALARM.notified() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// Where a service is in its interval: when it began.
type Intervals = HashMap<ServiceName, u64>;

fn look(name: &ServiceName, service: &ServiceTable, intervals: &mut Intervals, now_ms: u64) {
    let Some(rule) = &service.live.settings.outliers else {
        // Switched off: nobody stays out.
        service.endpoints.iter().filter(|e| e.state.outlier.is_ejected()).for_each(|e| let_back(e, now_ms));
        return;
    };
    let began_ms = intervals.entry(name.clone()).or_insert(now_ms);
    let interval_ms = u64::try_from(rule.interval.as_millis()).unwrap_or(u64::MAX);
    let is_over = now_ms.saturating_sub(*began_ms) >= interval_ms;
    if is_over {
        *began_ms = now_ms;
    }
    carry_out(name, service, rule, is_over, now_ms);
}

fn carry_out(name: &ServiceName, service: &ServiceTable, rule: &Outliers, is_over: bool, now_ms: u64) {
    let readings: Vec<Reading> = service.endpoints.iter().map(|e| reading(e, is_over)).collect();
    for (endpoint, verdict) in service.endpoints.iter().zip(judge(&readings, rule, now_ms)) {
        let (tally, id) = (&endpoint.state.outlier, &endpoint.live.settings.id);
        match verdict {
            Verdict::Stays => {}
            Verdict::Forgiven => _ = tally.times.fetch_sub(1, Ordering::Relaxed),
            Verdict::Back => {
                let_back(endpoint, now_ms);
                info!(service = %name, endpoint = %id, "an outlier is back");
            }
            Verdict::Ejected { cause, until_ms } => {
                tally.eject(cause, until_ms);
                weather::changed();
                let (cause, for_ms) = (cause.name(), until_ms - now_ms);
                warn!(service = %name, endpoint = %id, cause, for_ms, "an outlier is left out");
            }
        }
    }
}

fn let_back(endpoint: &EndpointHandle, now_ms: u64) {
    endpoint.state.outlier.let_back();
    endpoint.state.returned(now_ms);
}

fn reading(endpoint: &EndpointHandle, is_over: bool) -> Reading {
    let tally = &endpoint.state.outlier;
    Reading {
        serves: !endpoint.live.is_withdrawn(),
        until_ms: tally.until_ms(),
        times: tally.times.load(Ordering::Relaxed),
        failures: tally.failures.load(Ordering::Relaxed),
        gateway_failures: tally.gateway_failures.load(Ordering::Relaxed),
        interval: is_over.then(|| tally.take_interval()),
    }
}
