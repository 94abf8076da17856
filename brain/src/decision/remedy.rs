//! From a rule's remedy to a typed action: its target from the diagnosis, its size from what is measured.
//! A remedy that cannot be carried out says why; nothing is guessed.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use protocol::id::EndpointId;
use protocol::snapshot::ProxyStatus;

use super::networks::aggregated;
use crate::domain::{Incident, Signal};
use crate::guard::Fleet;
use crate::guard::capacity::{Place, Places};
use crate::policies::Remedy;
use crate::state::Service;

/// The most that may be shed (the proxies' floor).
const MOST_SHED: f64 = 0.9;
/// The least worth shedding.
const LEAST_SHED: f64 = 0.05;
/// Sheds come in steps of this: measurements wobble, and a wobble is no new proposal.
const STEP: f64 = 0.05;
/// A service that is well at its usual load bears a little more.
const SPARE: f64 = 1.1;
/// Seconds over which the load is taken.
const LATELY_S: i64 = 5;
/// A rate limit's bucket, seconds of its rate.
const BURST_S: f64 = 2.0;

/// What is asked of a service and what it can bear, requests a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Asked now.
    pub rate: f64,
    /// Asked usually; 0 before it is known.
    pub usual: f64,
    /// Neither failed nor slow now.
    pub good: f64,
}

impl Load {
    /// Of `service`, over the last whole seconds.
    #[must_use]
    pub fn of(service: &Service, second: i64) -> Self {
        let (from, to) = (second - LATELY_S, second - 1);
        let sum = service.ring.sum(from, to);
        let bad = sum.failed.saturating_add(sum.slow).min(sum.n);
        let rate = |n: u64| n as f64 / LATELY_S as f64;
        Self { rate: rate(sum.n), usual: service.baseline.pace().0, good: rate(sum.n - bad) }
    }
}

/// What a remedy's size depends on.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// Requests in flight against the baseline's.
    pub in_flight_ratio: f64,
    /// What the service has.
    pub places: Places,
    /// Of its capacity, the share that must stay.
    pub min_capacity: f64,
    /// Its load.
    pub load: Load,
    /// The version on trial, where a lease has one.
    pub canary: Option<String>,
    /// By endpoint that has answered enough lately, its median latency, milliseconds.
    pub medians_ms: BTreeMap<String, f64>,
    /// Whether something is wrong with it, or is done about it.
    pub is_troubled: bool,
    /// Whether anybody can be asked for replicas.
    pub may_scale: bool,
}

/// So many answers, lately, tell an endpoint's median.
const TELLING: f64 = 50.0;

/// The medians of those endpoints of `service` that have answered enough lately.
#[must_use]
pub fn medians_ms(service: &Service, second: i64) -> BTreeMap<String, f64> {
    let told = service.endpoints.iter().filter(|(_, e)| e.sketch.weight(second) >= TELLING);
    told.map(|(id, endpoint)| (id.clone(), endpoint.sketch.quantile_ms(0.5))).collect()
}

/// The version of `service` that a live lease puts on trial.
#[must_use]
pub fn canary_of(fleet: &Fleet, service: &str) -> Option<String> {
    let on_trial = |proxy: &ProxyStatus| {
        let mut own = proxy.leases.iter().filter(|l| l.request.service.as_str() == service);
        own.find_map(|lease| match &lease.request.kind {
            ActionKind::SetCanaryWeight { canary, .. } => Some(canary.clone()),
            _ => None,
        })
    };
    fleet.values().find_map(on_trial)
}

/// The action and the life of its leases, or why there is none; `None` where a rule wants nothing done.
pub(super) fn kind_of(
    remedy: &Remedy,
    incident: &Incident,
    now: &Circumstances,
) -> Option<Result<(ActionKind, u64), String>> {
    let cause = &incident.cause;
    let version = || cause.version.clone().ok_or_else(|| "the diagnosis names no version".to_owned());
    let (kind, lease_ms) = match remedy {
        Remedy::None => return None,
        Remedy::EjectEndpoint { lease_ms } => (eject(cause.endpoint.as_deref()), lease_ms),
        Remedy::SetWeights { lease_ms } => (version().and_then(|v| leave(&v, now)), lease_ms),
        Remedy::RollbackCanary { lease_ms } => (version().and_then(|v| roll_back(v, now)), lease_ms),
        Remedy::BlockIps { lease_ms } => (block(&cause.ips), lease_ms),
        Remedy::LimitRate { times_usual, lease_ms } => (limit(incident, *times_usual), lease_ms),
        Remedy::ShedLoad { fraction, lease_ms } => (shed(*fraction, now.load), lease_ms),
    };
    Some(kind.map(|kind| (kind, *lease_ms)))
}

fn eject(endpoint: Option<&str>) -> Result<ActionKind, String> {
    let endpoint = endpoint.ok_or("the diagnosis names no endpoint")?;
    let endpoint = EndpointId::new(endpoint.to_owned()).map_err(|why| why.to_string())?;
    Ok(ActionKind::EjectEndpoint { endpoint })
}

/// No traffic to the version, if the others have capacity enough for all of it.
fn leave(version: &str, now: &Circumstances) -> Result<ActionKind, String> {
    let weight =
        |of: &dyn Fn(&Place) -> bool| now.places.values().filter(|p| of(p)).map(|p| p.weight).sum::<f64>();
    let (others, all) = (weight(&|p| p.version != version && p.serving), weight(&|_| true));
    let left = if all > 0.0 { others / all } else { 0.0 };
    if left <= 0.0 || left < now.min_capacity - 1e-9 {
        return Err(format!(
            "other versions have {:.0} % of the capacity, {:.0} % are needed",
            left * 100.0,
            now.min_capacity * 100.0
        ));
    }
    Ok(ActionKind::SetWeights { weights: BTreeMap::from([(format!("version:{version}"), 0)]) })
}

fn roll_back(version: String, now: &Circumstances) -> Result<ActionKind, String> {
    match &now.canary {
        Some(canary) if *canary == version => Ok(ActionKind::RollbackCanary { version }),
        Some(canary) => Err(format!("{canary} is on trial, not {version}")),
        None => Err("no version is on trial".to_owned()),
    }
}

fn block(ips: &[String]) -> Result<ActionKind, String> {
    let cidrs = aggregated(ips)?;
    Ok(ActionKind::BlockIps { cidrs })
}

fn limit(incident: &Incident, times_usual: f64) -> Result<ActionKind, String> {
    let usual = incident.evidence.iter().find(|e| e.signal == Signal::ClientRate).map(|e| e.baseline);
    let usual = usual.filter(|rps| *rps > 0.0).ok_or("nothing is known of usual clients")?;
    let rps = (usual * times_usual).max(1.0).ceil();
    // Bounded by the policy's range times a measured rate; f64 to u32 saturates.
    let burst = (rps * BURST_S).ceil() as u32;
    Ok(ActionKind::LimitRate { key: "ip".to_owned(), rps, burst: burst.max(1) })
}

/// As told or, where nothing is told, what lies beyond the usual load or beyond what is served well,
/// whichever leaves more.
fn shed(told: Option<f64>, load: Load) -> Result<ActionKind, String> {
    let fraction = match told {
        Some(fraction) => fraction,
        None if load.usual <= 0.0 => return Err("its usual load is not known".to_owned()),
        None => {
            let bears = (load.usual * SPARE).max(load.good);
            let beyond = 1.0 - bears / load.rate.max(f64::MIN_POSITIVE);
            ((beyond / STEP).ceil() * STEP * 100.0).round().min(MOST_SHED * 100.0) / 100.0
        }
    };
    if fraction < LEAST_SHED {
        let (rate, usual) = (load.rate, load.usual);
        return Err(format!("{rate:.0} requests a second are no excess over {usual:.0}"));
    }
    Ok(ActionKind::ShedLoad { max_in_flight: None, fraction: Some(fraction) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use protocol::snapshot::Health;

    use super::*;

    fn fraction(load: Load) -> Result<f64, String> {
        match shed(None, load)? {
            ActionKind::ShedLoad { fraction: Some(fraction), .. } => Ok(fraction),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn as_much_is_shed_as_lies_beyond_what_can_be_borne() {
        let collapsed = Load { rate: 300.0, usual: 100.0, good: 10.0 };
        assert!((fraction(collapsed).unwrap() - 0.65).abs() < 1e-9, "the usual load can be borne");
        let half_served = Load { rate: 300.0, usual: 100.0, good: 200.0 };
        assert!((fraction(half_served).unwrap() - 0.35).abs() < 1e-9, "what is served well stays");
        let flood = Load { rate: 1e6, usual: 10.0, good: 0.0 };
        assert!((fraction(flood).unwrap() - 0.9).abs() < 1e-9, "never more than the floor");
        assert!(fraction(Load { rate: 105.0, usual: 100.0, good: 0.0 }).is_err());
        assert!(fraction(Load { rate: 105.0, usual: 0.0, good: 0.0 }).is_err());
    }

    #[test]
    fn a_version_is_left_only_for_others_that_can_carry_it() {
        let place = |version: &str, serving| Place {
            weight: 1.0,
            now: 1.0,
            version: version.into(),
            health: Health::Unknown,
            serving,
        };
        let of = |old: usize, new: usize, serving| {
            let places =
                (0..old + new).map(|n| (n.to_string(), place(if n < old { "v1" } else { "v2" }, serving)));
            leave(
                "v2",
                &Circumstances { places: places.collect(), min_capacity: 0.5, ..Circumstances::default() },
            )
        };
        assert!(of(3, 2, true).is_ok());
        assert!(of(2, 3, true).is_err());
        assert!(of(0, 5, true).is_err(), "there is nothing else");
        assert!(of(3, 2, false).is_err(), "the others do not serve");
    }

    #[test]
    fn only_what_is_on_trial_is_rolled_back() {
        let on_trial = |canary: Option<&str>| {
            let now = Circumstances { canary: canary.map(str::to_owned), ..Circumstances::default() };
            roll_back("v2".into(), &now)
        };
        assert!(on_trial(Some("v2")).is_ok());
        assert!(on_trial(Some("v3")).is_err() && on_trial(None).is_err());
    }
}
