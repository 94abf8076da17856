//! Slowness of a whole service: how many responses exceed the baseline's p99, and how many exceed several times
//! that. A quantile's value is never tested.

use super::own_past::{Finding, Series};
use super::{Anomaly, service_anomaly};
use crate::domain::Signal;
use crate::policies::ServicePolicy;
use crate::state::{Service, Tally, share};

/// Seconds in which what is far too slow must show more than once.
const FAR_S: i64 = 10;

/// Whether the service is slower than it was; how much evidence is enough is not asked here.
pub(super) fn detect(name: &str, service: &Service, second: i64, policy: &ServicePolicy) -> Option<Anomaly> {
    if service.baseline.learned_s() < policy.min_learned_s {
        return None;
    }
    let found = [slow(service, second, policy), far(service, second, policy)];
    let found = found.into_iter().flatten().max_by(|a, b| a.log_e.total_cmp(&b.log_e))?;
    Some(service_anomaly(name, Signal::Latency, found, false, second))
}

/// Many are slower than usual.
fn slow(service: &Service, second: i64, policy: &ServicePolicy) -> Option<Finding> {
    let floor = &policy.latency;
    let normal = service.baseline.slow.share();
    let slow_seconds = (second - 4..=second)
        .filter(|s| {
            let tally = service.ring.at(*s);
            tally.n > 0 && share(tally.slow, tally.n) >= normal + floor.min_excess
        })
        .count();
    if slow_seconds < floor.min_seconds as usize {
        return None;
    }
    let (usual, part) = (&service.baseline.slow, |tally: Tally| tally.slow);
    Series { ring: &service.ring, part, usual, trouble: service.trouble_second }.strongest(second, floor)
}

/// Some hang: to who waits that is no better than a failure, and so few are enough.
fn far(service: &Service, second: i64, policy: &ServicePolicy) -> Option<Finding> {
    let floor = &policy.errors;
    let shows = |s: &i64| service.far.at(*s).slow > 0;
    if (second - FAR_S + 1..=second).filter(shows).count() < policy.latency.min_seconds as usize {
        return None;
    }
    let (usual, part) = (&service.baseline.far, |tally: Tally| tally.slow);
    Series { ring: &service.far, part, usual, trouble: service.trouble_second }.strongest(second, floor)
}
