//! One worker's counters of what went by one route to one service: as the client saw it.
//!
//! Labels are names of the configuration. A request stands here when its response's head is known, or
//! when its client went away before.

use std::time::Duration;

use super::count::{Count, Times, TimesSnapshot};
use crate::middleware::grpc_status::{CODES, Code};

/// How a request ended as labels say: the status class, or `none` where no response was given.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// See the module.
#[derive(Debug, Default)]
pub struct RouteCounters {
    classes: [Count; CLASSES.len()],
    times: Times,
    upstream: Times,
    calls: [Count; CODES.len()],
}

impl RouteCounters {
    /// A request was answered with `status` after `took`.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100);
        if let Some(count) = self.classes.get(class.clamp(1, CLASSES.len() - 1)) {
            count.add(1);
        }
        self.times.add(took);
    }

    /// The client went away before it was answered.
    pub fn abandoned(&self) {
        self.classes[0].add(1);
    }

    /// An endpoint answered one attempt after `took`.
    pub fn upstream(&self, took: Duration) {
        self.upstream.add(took);
    }

    /// A gRPC call ended so.
    pub fn call(&self, code: Code) {
        self.calls.get(code.index()).into_iter().for_each(|count| count.add(1));
    }

    /// The counts as they are now, from any thread.
    #[must_use]
    pub fn snapshot(&self) -> RouteSnapshot {
        RouteSnapshot {
            classes: std::array::from_fn(|at| self.classes.get(at).map_or(0, Count::get)),
            times: self.times.snapshot(),
            upstream: self.upstream.snapshot(),
            calls: std::array::from_fn(|at| self.calls.get(at).map_or(0, Count::get)),
        }
    }
}

/// One route's counts to one service, or several workers' together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteSnapshot {
    /// Requests, by [`CLASSES`].
    pub classes: [u64; CLASSES.len()],
    /// From a request's head to its response's head.
    pub times: TimesSnapshot,
    /// The same of each attempt at an endpoint.
    pub upstream: TimesSnapshot,
    /// gRPC calls, by [`CODES`].
    pub calls: [u64; CODES.len()],
}

impl RouteSnapshot {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.classes.iter_mut().zip(other.classes).for_each(|(mine, theirs)| *mine += theirs);
        self.times.merge(&other.times);
        self.upstream.merge(&other.upstream);
        self.calls.iter_mut().zip(other.calls).for_each(|(mine, theirs)| *mine += theirs);
    }
}
