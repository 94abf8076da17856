//! Stand-in with the data path's signatures.

use std::collections::BTreeMap;

use crate::admin::metrics::Backend;

pub mod stream;

/// One worker's part of a window.
#[derive(Debug)]
pub struct WorkerWindow {}

/// One worker's counters.
#[derive(Debug, Default)]
pub struct Shard {}

/// What one worker has counted.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub requests: u64,
    pub successful: u64,
    pub failed: u64,
    pub connections: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub response_time: Vec<(f64, u64)>,
    pub response_time_count: u64,
    pub response_time_sum: f64,
    pub backends: BTreeMap<(String, String), Backend>,
}

impl Shard {
    /// Nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}
