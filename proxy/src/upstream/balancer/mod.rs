//! Which of several endpoints: pure choices over the weights of those that may be asked now.
//!
//! A weight of 0 means "not now", for whatever reason, and is never chosen. State is one worker's
//! own: workers do not coordinate, each spreads its own requests by weight.

pub mod draws;
pub mod hash_table;
mod hashing;
pub mod least_connections;
pub mod maglev;
pub mod ring;
pub mod smooth;

pub use draws::Draws;
pub use hash_table::{Lookup, Lookups};
pub use hashing::key_of;
pub use least_connections::LeastConnections;
pub use smooth::SmoothRoundRobin;
