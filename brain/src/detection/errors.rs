//! Failures of a whole service.

use super::own_past::{self, Series};
use super::{Anomaly, service_anomaly};
use crate::domain::Signal;
use crate::policies::ServicePolicy;
use crate::state::{Service, Tally, share};

/// Whether the service fails more than it did, or simply fails; how much evidence is enough is not asked here.
pub(super) fn detect(name: &str, service: &Service, second: i64, policy: &ServicePolicy) -> Option<Anomaly> {
    let (last, before) = (service.ring.at(second), service.ring.at(second - 1));
    if let Some(gross) = own_past::gross(last, before, policy.gross_share, policy.gross_requests) {
        return Some(service_anomaly(name, Signal::Errors, gross, true, second));
    }
    if service.baseline.learned_s() < policy.min_learned_s {
        return None;
    }
    let usual = &service.baseline.errors;
    let part = |tally: Tally| tally.failed;
    let series = Series { ring: &service.ring, part, usual, trouble: service.trouble_second };
    let found = series.strongest(second, &policy.errors)?;
    let recent = service.ring.sum(second - 4, second);
    // A minute remembers what is over: the last seconds must show some of it still.
    let some = (policy.errors.min_excess / 2.0).max((found.observed - found.baseline) / 4.0);
    if share(recent.failed, recent.n) < usual.share() + some {
        return None;
    }
    Some(service_anomaly(name, Signal::Errors, found, false, second))
}
