//! `server.overload`: when load is shed for the process's own sake.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When new requests are answered 503, and new connections closed, so that the process does not die.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overload {
    /// Resident memory that the process may use. Absent: the bound of its control group, if that has one;
    /// where both are given, the smaller one holds.
    pub max_memory_bytes: Option<u64>,
    /// Share of memory or file descriptors in use from which new requests are answered 503 and connections
    /// without a request closed, 0.1 to 1.
    pub shed_at: f64,
    /// Share from which new connections are closed at once, `shed_at` to 1.
    pub stop_at: f64,
}

impl Default for Overload {
    fn default() -> Self {
        Self { max_memory_bytes: None, shed_at: 0.9, stop_at: 0.95 }
    }
}
