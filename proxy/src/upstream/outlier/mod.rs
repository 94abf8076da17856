//! Outlier ejection: an endpoint that does worse than its siblings is left out for a while.
//!
//! Workers count ([`tally`]), one task of control judges ([`judge`], [`sweep`]), so that the bound on how
//! many may be out at once holds without a lock. This is weather, not a decision: the floor of leases is
//! judged without it, it is in no hash, and it is not believed in a panic.

pub mod judge;
pub mod sweep;
pub mod tally;

pub use tally::{Cause, Tally, Watch};
