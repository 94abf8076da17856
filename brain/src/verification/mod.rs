//! Verify: what users saw before, what they see after, and whether that is better. Pure counting.

mod effect;
mod meter;
mod probe;

pub use effect::{Yardstick, effect};
pub use meter::{Meter, Part, Scope};
pub use probe::{ProbeAnswer, eased, probe};

use crate::domain::Signal;
use crate::state::Tally;

/// Failed or slow, whichever the signal is about.
#[must_use]
pub fn bad(tally: Tally, signal: Signal) -> u64 {
    match signal {
        Signal::Latency | Signal::PeerLatency => tally.slow,
        _ => tally.failed,
    }
}
