//! The proof: an append-only, hash-chained log of all that the brain saw, decided and did.
//!
//! Intent is durable here before an action is sent, its outcome after: no audit, no action. Only this
//! folder knows SQL. Absent: judgement of any kind; records are written as the control loop states them.

mod canaries;
mod chain;
mod query;
mod record;
mod retention;
mod standing;
mod store;
mod tombstone;
mod transaction;

pub use chain::{Chain, Flaw, Proof};
pub use query::{AuditFilter, AuditReader, MAX_PAGE};
pub use record::{FIRST_PREV_HASH, Record};
pub use retention::{MAX_REMOVED, Retention};
pub use standing::Numbered;
pub use store::{AuditStore, StoreError};
pub use tombstone::{AuditKey, Seal, Tombstone};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod retention_tests;
