//! Act: leases on proxies, from the first put to the last removal.

mod holder;
pub mod lifecycle;
pub mod operation;
pub mod steps;
