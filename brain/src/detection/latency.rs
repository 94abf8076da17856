//! Slowness of a whole service: how many responses exceed the baseline's p99. A quantile's value is
//! never tested.

use super::{Anomaly, own_past, service_anomaly};
use crate::domain::Signal;
use crate::policies::ServicePolicy;
use crate::state::{Service, share};

/// Whether the service is slower than it was; how much evidence is enough is not asked here.
pub(super) fn detect(name: &str, service: &Service, second: i64, policy: &ServicePolicy) -> Option<Anomaly> {
    if service.baseline.learned_s() < policy.min_learned_s {
        return None;
    }
    let sums = own_past::WINDOWS_S.map(|w| {
        let sum = service.ring.sum(second - w + 1, second);
        (w, sum.slow, sum.n)
    });
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
    let found = own_past::strongest(&sums, &service.baseline.slow, floor)?;
    Some(service_anomaly(name, Signal::Latency, found, false, second))
}
