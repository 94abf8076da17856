//! One thing's last hour, point by point.

use std::collections::VecDeque;

use crate::domain::{CallView, EndpointView, ServiceView};

/// No proxy has told.
const UNKNOWN: u16 = u16::MAX;

/// What was measured in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Steps since the epoch.
    pub step: i64,
    /// Requests per second.
    pub rps: f32,
    /// Share of failures, 0 to 1.
    pub failure_share: f32,
    /// Median, milliseconds.
    pub p50_ms: f32,
    /// 99th percentile, milliseconds.
    pub p99_ms: f32,
    /// Whether a lease takes it out.
    pub ejected: bool,
    weight: u16,
}

impl Point {
    fn new(step: i64, rps: f64, failure_share: f64) -> Self {
        let (rps, failure_share) = (rps as f32, failure_share as f32);
        Self { step, rps, failure_share, p50_ms: 0.0, p99_ms: 0.0, ejected: false, weight: UNKNOWN }
    }

    /// All services together; a request that three services handle counts three times.
    pub(super) fn of_mesh(step: i64, services: &[ServiceView]) -> Self {
        let rps: f64 = services.iter().map(|s| s.rps).sum();
        let failed: f64 = services.iter().map(|s| s.rps * s.failure_share).sum();
        let worst = |of: fn(&ServiceView) -> f64| services.iter().map(of).fold(0.0, f64::max) as f32;
        let share = if rps > 0.0 { failed / rps } else { 0.0 };
        Self { p50_ms: worst(|s| s.p50_ms), p99_ms: worst(|s| s.p99_ms), ..Self::new(step, rps, share) }
    }

    pub(super) fn of_service(step: i64, of: &ServiceView) -> Self {
        let (p50_ms, p99_ms) = (of.p50_ms as f32, of.p99_ms as f32);
        Self { p50_ms, p99_ms, ..Self::new(step, of.rps, of.failure_share) }
    }

    pub(super) fn of_call(step: i64, of: &CallView) -> Self {
        Self::new(step, of.rps, of.failure_share)
    }

    pub(super) fn of_endpoint(step: i64, of: &EndpointView) -> Self {
        let weight = of.weight.map_or(UNKNOWN, |w| u16::try_from(w).unwrap_or(UNKNOWN - 1));
        let (p50_ms, p99_ms) = (of.p50_ms as f32, of.p99_ms as f32);
        Self { p50_ms, p99_ms, weight, ejected: of.ejected, ..Self::new(step, of.rps, of.failure_share) }
    }

    /// The weight, where a proxy told; weights above 65,534 show as that.
    #[must_use]
    pub fn weight(&self) -> Option<u32> {
        (self.weight != UNKNOWN).then_some(u32::from(self.weight))
    }
}

/// The points of one thing, oldest first; steps without one are gaps.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// The version label it had last.
    pub version: String,
    /// In the order of their steps.
    pub points: VecDeque<Point>,
}

impl Track {
    pub(super) fn put(&mut self, version: &str, point: Point) {
        if self.version != version {
            version.clone_into(&mut self.version);
        }
        match self.points.back_mut() {
            Some(last) if last.step == point.step => *last = point,
            Some(last) if last.step > point.step => {}
            _ => self.points.push_back(point),
        }
    }

    /// Whether anything is left after what came before `step` is forgotten.
    pub(super) fn forget_before(&mut self, step: i64) -> bool {
        while self.points.front().is_some_and(|point| point.step <= step) {
            self.points.pop_front();
        }
        !self.points.is_empty()
    }

    /// The newest point at `step` or at most `back` before it.
    pub(super) fn at(&self, step: i64, back: i64) -> Option<&Point> {
        let after = self.points.partition_point(|point| point.step <= step);
        let point = self.points.get(after.checked_sub(1)?)?;
        (point.step >= step - back).then_some(point)
    }

    /// A copy of what came at `step` or later.
    pub(super) fn since(&self, step: i64) -> Self {
        let from = self.points.partition_point(|point| point.step < step);
        Self { version: self.version.clone(), points: self.points.range(from..).copied().collect() }
    }
}
