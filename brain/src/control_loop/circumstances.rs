//! What is known of a service when something is to be done about it.

use super::ControlLoop;
use crate::decision::{Circumstances, Load, canary_of, medians_ms};
use crate::guard::capacity::places;

impl ControlLoop {
    /// What a remedy's size depends on.
    pub(super) fn circumstances(&self, service: &str) -> Circumstances {
        let seen = self.mesh.services.get(service);
        let canary = canary_of(&self.fleet, service);
        let blamed = self.book.blamed_on(service).next().is_some();
        let is_troubled = blamed || canary.is_some() || !self.ledger.live_on(service).is_empty();
        Circumstances {
            now_ms: self.now_ms,
            in_flight_ratio: seen.map_or(1.0, |s| s.in_flight_ratio(self.mesh.second)),
            places: places(service, &self.mesh, &self.fleet, self.now_ms),
            min_capacity: self.policies.guard.min_healthy_capacity,
            load: seen.map(|s| Load::of(s, self.mesh.second)).unwrap_or_default(),
            canary,
            medians_ms: seen.map(|s| medians_ms(s, self.mesh.second)).unwrap_or_default(),
            is_troubled,
            may_scale: self.ahead.may_scale,
        }
    }
}
