//! Whether what was taken away may be given back.

use super::{Meter, bad};
use crate::domain::Signal;
use crate::state::share;

/// How a probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// Not enough seen yet.
    Wait,
    /// As good as its siblings.
    Passed,
    /// Still sick.
    Failed,
}

/// A service that is given more again shows within so many seconds whether it can bear it.
const EASED_S: f64 = 5.0;

/// Judges a part that gets a little traffic again, by its own requests against its siblings': at `wanted`
/// requests, or at whatever there is once `late`.
#[must_use]
pub fn probe(meter: &Meter, signal: Signal, wanted: u64, late: bool) -> ProbeAnswer {
    let (own, others) = meter.own_and_others();
    let (count, own_share) = (bad(own, signal), share(bad(own, signal), own.n));
    let siblings = share(bad(others, signal), others.n);
    if count >= 3 && own_share >= (siblings * 4.0).max(siblings + 0.05) {
        return ProbeAnswer::Failed;
    }
    match signal {
        _ if own.n >= wanted || (late && own.n >= 3) => {
            if count >= 2 && own_share > siblings + 0.05 {
                ProbeAnswer::Failed
            } else {
                ProbeAnswer::Passed
            }
        }
        _ => ProbeAnswer::Wait,
    }
}

/// Judges a service that is shed less: as bad as half way back to what it was `before` is too bad.
#[must_use]
pub fn eased(meter: &Meter, signal: Signal, (before, expected): (f64, f64), wanted: u64) -> ProbeAnswer {
    let all = meter.all();
    let too_bad = (before + expected) / 2.0;
    let now = share(bad(all, signal), all.n);
    if all.n >= wanted && meter.seconds() >= 2.0 && now >= too_bad {
        return ProbeAnswer::Failed;
    }
    let seen = all.n >= wanted && meter.seconds() >= EASED_S;
    if seen { ProbeAnswer::Passed } else { ProbeAnswer::Wait }
}
