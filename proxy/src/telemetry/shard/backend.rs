//! One worker's counters of one endpoint.

use std::sync::Arc;
use std::time::Duration;

use super::count::{Count, Tally};
use crate::telemetry::Outcome;

/// See the module.
#[derive(Debug, Default)]
pub struct BackendCounters {
    opened: Count,
    closed: Count,
    requests: Count,
    failures: Count,
    errors: Tally<8>,
    answers: Count,
    answers_us: Count,
    retried: Count,
}

/// Counts a connection to an endpoint as open until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Arc<BackendCounters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

/// All of it is called by the shard's own worker only, but for [`Self::snapshot`].
impl BackendCounters {
    /// A connection to the endpoint was opened.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.opened.add(1);
        OpenConnection(Arc::clone(self))
    }

    /// An attempt at the endpoint ended.
    pub fn request(&self, failed: bool) {
        self.requests.add(1);
        self.failures.add(u64::from(failed));
    }

    /// An attempt at the endpoint ended that another took the place of.
    pub fn retried(&self, failed: bool) {
        self.request(failed);
        self.retried.add(1);
    }

    /// What became of one attempt at it, and how long that took.
    pub fn attempt(&self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Status(_) => {
                self.answers.add(1);
                self.answers_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
            Outcome::Timeout => self.errors.add("timeout"),
            Outcome::Reset => self.errors.add("reset"),
            Outcome::ConnectFailure => self.errors.add("connect"),
        }
    }

    /// The counts as they are now, from any thread.
    #[must_use]
    pub fn snapshot(&self) -> BackendSnapshot {
        let closed = self.closed.get();
        let opened = self.opened.get();
        BackendSnapshot {
            connections: opened.saturating_sub(closed),
            opened,
            requests: self.requests.get(),
            failures: self.failures.get(),
            errors: self.errors.read().collect(),
            answers: self.answers.get(),
            answers_us: self.answers_us.get(),
            retried: self.retried.get(),
        }
    }
}

/// One endpoint's counts, or several workers' together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendSnapshot {
    /// `proxy_backend_connections`: open now.
    pub connections: u64,
    /// Opened since the start.
    pub opened: u64,
    /// `proxy_backend_requests_total`.
    pub requests: u64,
    /// `proxy_backend_failures_total`.
    pub failures: u64,
    /// Attempts without a response, by kind.
    pub errors: std::collections::BTreeMap<&'static str, u64>,
    /// Attempts that were answered.
    pub answers: u64,
    /// Their times to the response's head, microseconds.
    pub answers_us: u64,
    /// Attempts that others took the place of.
    pub retried: u64,
}

impl BackendSnapshot {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.opened += other.opened;
        self.requests += other.requests;
        self.failures += other.failures;
        self.answers += other.answers;
        self.retried += other.retried;
        self.answers_us = self.answers_us.wrapping_add(other.answers_us);
        other.errors.iter().for_each(|(kind, n)| *self.errors.entry(kind).or_default() += n);
    }
}
