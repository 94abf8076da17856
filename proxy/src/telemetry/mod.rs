//! What is seen of the traffic: counters for scraping, and a window a second for the brain.
//!
//! Each worker counts for itself, without locks; other threads read its atomics ([`shard`]) or are
//! sent what it gathered in a window ([`recorder`]). Nothing here can make a request wait.

pub mod callers;
pub mod cells;
pub mod clients;
pub mod distinct;
mod door;
pub mod link;
pub mod outbox;
mod ranks;
pub mod recorder;
pub mod shard;
mod slot_table;
pub mod space_saving;
pub mod stream;
pub mod window;

/// What became of a request that went to an endpoint. Exactly one of these each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response came, with this status.
    Status(u16),
    /// None came in time.
    Timeout,
    /// The connection broke before one came.
    Reset,
    /// No connection could be made.
    ConnectFailure,
}

impl Outcome {
    /// Whether it is a failure of the endpoint: 5xx, or no response. Nothing else is.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Status(status) if status < 500)
    }
}
