//! A world in one thread: the brain's own control loop, the proxies' own lease code, and between them a
//! network, clocks and disks that fail as a seed says. After every step code that knows neither looks at
//! what each proxy holds and what each store says, and names every invariant that does not hold.
//!
//! The same seed gives the same world. Absent: sockets, threads, SQLite; `tests/tests/crashes.rs` has those.
// A test's insides: fields say what they are by their names.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod brain;
mod hostile;
mod invariants;
mod network;
mod people;
mod plan;
mod planted;
mod proxy;
mod report;
mod store;
mod traffic;
mod world;

pub use invariants::{INVARIANTS, Violation};
pub use plan::{Fault, Plan};
pub use planted::Bug;
pub use report::Report;
pub use world::{Outcome, live};
