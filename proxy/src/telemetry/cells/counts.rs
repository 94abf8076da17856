//! What a cell counts.

use std::time::Duration;

use protocol::latency::{MAX_INDEX, index_of};

use crate::telemetry::Outcome;

/// What a cell counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that ended.
    pub requests: u64,
    /// Responses, 1xx to 5xx.
    pub classes: [u64; 5],
    /// No response in time.
    pub timeouts: u64,
    /// Broken before a response.
    pub resets: u64,
    /// Not reached at all.
    pub connect_failures: u64,
    /// Attempts that others took the place of; not among the requests.
    pub retries: u64,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
    /// The most in flight at once, of this worker.
    pub in_flight_max: u64,
    /// Responses by latency bucket, from bucket 0.
    pub buckets: Vec<u32>,
}

impl Counts {
    pub(super) fn add(&mut self, ended: &Ended) {
        self.requests += 1;
        self.bytes_in += ended.bytes_in;
        self.bytes_out += ended.bytes_out;
        match ended.outcome {
            Outcome::Timeout => self.timeouts += 1,
            Outcome::Reset => self.resets += 1,
            Outcome::ConnectFailure => self.connect_failures += 1,
            Outcome::Status(status) => self.answered(status, ended.took),
        }
    }

    fn answered(&mut self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class] += 1;
        let index = index_of(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let bucket = usize::try_from(index.clamp(0, MAX_INDEX)).unwrap_or(0);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
    }
}

/// A request that ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// What became of it.
    pub outcome: Outcome,
    /// From the request's head to the response's head.
    pub took: Duration,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
}
