//! Whether an action is possible in itself, whatever else is live.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use protocol::action::{ActionKind, ActionRequest, MAX_LEASE_MS, MIN_LEASE_MS};
use protocol::trial::{Copies, Preview};

use super::Refusal;
use crate::live_state::weights::VERSION_PREFIX;
use crate::live_state::{blocks, weights};
use crate::settings::{Algorithm, MAX_ATTEMPTS, MAX_WEIGHT, RateKey, Service, Settings};

/// The longest `reason` and `issued_by`, bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// The request timeouts that an action may set, milliseconds.
const MIN_TIMEOUT_MS: u64 = 10;
const MAX_TIMEOUT_MS: u64 = 86_400_000;
/// The rates and bursts that an action may set, requests a second and requests.
const MIN_RATE: f64 = 1.0;
const MAX_RATE: f64 = 1_000_000.0;
const MAX_BURST: u32 = 1_000_000;
/// The largest share that may be shed.
const MAX_SHED_FRACTION: f64 = 0.9;

/// Whether `request` could be taken under `settings`.
pub(super) fn validate(settings: &Settings, request: &ActionRequest) -> Result<(), Refusal> {
    let service = settings.services.get(&request.service);
    let service = service.ok_or_else(|| Refusal::UnknownService(request.service.clone()))?;
    lease_ms(request.lease_ms)?;
    envelope(request)?;
    match &request.kind {
        ActionKind::SetWeights { weights } => targets(service, weights),
        ActionKind::EjectEndpoint { endpoint }
        | ActionKind::TripBreaker { endpoint }
        | ActionKind::ResetBreaker { endpoint } => known(service, endpoint.as_str()).map(|_| ()),
        ActionKind::BlockIps { cidrs } => networks(cidrs),
        ActionKind::ShedLoad { max_in_flight, fraction } => shed(*max_in_flight, *fraction),
        ActionKind::SetTimeout { request_timeout_ms } => timeout(*request_timeout_ms),
        ActionKind::SetRetryBudget { ratio, max_attempts } => retry_budget(*ratio, *max_attempts),
        ActionKind::SetAlgorithm { algorithm } => known_algorithm(algorithm),
        ActionKind::LimitRate { key, rps, burst } => rate(key, *rps, *burst),
        ActionKind::SetCanaryWeight { stable, canary, weight, preview, copies } => {
            split(service, stable, canary, *weight)?;
            let preview = preview.as_ref().and_then(Preview::mistake).map(|why| format!("preview: {why}"));
            let copies = copies.as_ref().and_then(Copies::mistake).map(|why| format!("copies: {why}"));
            preview.or(copies).map_or(Ok(()), invalid)
        }
        ActionKind::PromoteCanary { version } | ActionKind::RollbackCanary { version } => {
            known(service, &format!("{VERSION_PREFIX}{version}")).map(|_| ())
        }
        ActionKind::Scale { .. } => invalid("scale is carried out by the brain, never by a proxy".to_owned()),
    }
}

/// Whether a lease may live so long.
///
/// # Errors
/// A [`Refusal`] that names the bounds.
pub fn lease_ms(ms: u64) -> Result<(), Refusal> {
    if (MIN_LEASE_MS..=MAX_LEASE_MS).contains(&ms) {
        return Ok(());
    }
    invalid(format!("lease_ms {ms} is out of range: {MIN_LEASE_MS} to {MAX_LEASE_MS}"))
}

fn invalid<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::Invalid(why))
}

fn envelope(request: &ActionRequest) -> Result<(), Refusal> {
    for (key, text) in [("reason", &request.reason), ("issued_by", &request.issued_by)] {
        if text.len() > MAX_TEXT_BYTES {
            return invalid(format!("{key} has at most {MAX_TEXT_BYTES} bytes, this one has {}", text.len()));
        }
    }
    if !(0.0..=1.0).contains(&request.confidence) {
        return invalid(format!("confidence {} is out of range: 0 to 1", request.confidence));
    }
    Ok(())
}

/// The endpoints that `target` names; none is an error.
fn known(service: &Service, target: &str) -> Result<Vec<usize>, Refusal> {
    let members = weights::members(service, target);
    if members.is_empty() {
        return invalid(format!("{} has no endpoint {target}", service.name));
    }
    Ok(members)
}

fn targets(service: &Service, map: &BTreeMap<String, u32>) -> Result<(), Refusal> {
    if map.is_empty() {
        return invalid("weights names no target".to_owned());
    }
    let mut named = BTreeSet::new();
    for (target, weight) in map {
        if *weight > MAX_WEIGHT {
            return invalid(format!("weight {weight} of {target} is out of range: 0 to {MAX_WEIGHT}"));
        }
        for index in known(service, target)? {
            if !named.insert(index) {
                return invalid(format!("{target} names an endpoint that its own version names already"));
            }
        }
    }
    Ok(())
}

fn split(service: &Service, stable: &str, canary: &str, weight: u32) -> Result<(), Refusal> {
    if stable == canary {
        return invalid(format!("{stable} cannot be both stable and canary"));
    }
    if weight > 100 {
        return invalid(format!("weight {weight} is out of range: 0 to 100 percent"));
    }
    for version in [stable, canary] {
        known(service, &format!("{VERSION_PREFIX}{version}"))?;
    }
    Ok(())
}

fn networks(cidrs: &[IpNet]) -> Result<(), Refusal> {
    if cidrs.is_empty() {
        return invalid("cidrs names no network".to_owned());
    }
    match cidrs.iter().find_map(|network| blocks::too_wide(*network)) {
        Some(why) => Err(Refusal::Floor(why)),
        None => Ok(()),
    }
}

/// A timeout under which nothing could be answered would be an outage.
fn timeout(ms: u64) -> Result<(), Refusal> {
    if !(MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS).contains(&ms) {
        let range = format!("{MIN_TIMEOUT_MS} to {MAX_TIMEOUT_MS}");
        return invalid(format!("request_timeout_ms {ms} is out of range: {range}"));
    }
    Ok(())
}

/// A rate below one a second, over all of a route, would be an outage.
fn rate(key: &str, rps: f64, burst: u32) -> Result<(), Refusal> {
    if !matches!(RateKey::named(key), Some(RateKey::Ip | RateKey::Header(_) | RateKey::Route)) {
        return invalid(format!("{key:?} is no key: give ip, header:NAME or route"));
    }
    if !(MIN_RATE..=MAX_RATE).contains(&rps) {
        return invalid(format!("rps {rps} is out of range: {MIN_RATE} to {MAX_RATE}"));
    }
    if !(1..=MAX_BURST).contains(&burst) {
        return invalid(format!("burst {burst} is out of range: 1 to {MAX_BURST}"));
    }
    Ok(())
}

fn retry_budget(ratio: f64, max_attempts: u32) -> Result<(), Refusal> {
    if !(0.0..=1.0).contains(&ratio) {
        return invalid(format!("ratio {ratio} is out of range: 0 to 1"));
    }
    if !(1..=MAX_ATTEMPTS).contains(&max_attempts) {
        return invalid(format!("max_attempts {max_attempts} is out of range: 1 to {MAX_ATTEMPTS}"));
    }
    Ok(())
}

fn known_algorithm(name: &str) -> Result<(), Refusal> {
    match Algorithm::named(name) {
        Some(_) => Ok(()),
        None => {
            let known: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
            invalid(format!("there is no algorithm {name:?}: give one of {}", known.join(", ")))
        }
    }
}

fn shed(max_in_flight: Option<u32>, fraction: Option<f64>) -> Result<(), Refusal> {
    match (max_in_flight, fraction) {
        (Some(0), None) => Err(Refusal::Floor("max_in_flight is at least 1".to_owned())),
        (Some(_), None) => Ok(()),
        (None, Some(f)) if f > MAX_SHED_FRACTION => {
            Err(Refusal::Floor(format!("a fraction of {f} is above {MAX_SHED_FRACTION}")))
        }
        (None, Some(f)) if f > 0.0 => Ok(()),
        (None, Some(f)) => invalid(format!("a fraction of {f} sheds nothing")),
        _ => invalid("shed_load takes exactly one of max_in_flight and fraction".to_owned()),
    }
}
