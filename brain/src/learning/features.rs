//! What a model sees of a proposal: numbers that stand in the proposal itself, so that anybody can compute them
//! again from its audit record. No text, no name, no address, and nothing that was learned.

use crate::domain::{Evidence, Proposal, Signal};

/// So many numbers, the first always 1.
pub(super) const COUNT: usize = 7;
/// A rise of a share by less than this is none.
const LEAST_RISE: f64 = 0.01;

/// See the module.
pub(crate) type Features = [f64; COUNT];

/// The numbers of `proposal`, each of the order of one.
pub(crate) fn of(proposal: &Proposal) -> Features {
    let most = |of: fn(&Evidence) -> f64| proposal.evidence.iter().map(of).fold(0.0, f64::max);
    let shares = proposal.evidence.iter().filter(|e| e.signal.is_share());
    let strongest = shares.max_by(|a, b| a.log_e.total_cmp(&b.log_e));
    let slow = strongest.is_some_and(|e| matches!(e.signal, Signal::Latency | Signal::PeerLatency));
    [
        1.0,
        f64::from(u8::from(slow)),
        most(beyond).clamp(LEAST_RISE, 1.0).ln() / 2.0,
        most(|e| e.log_e.max(0.0)).ln_1p() / 5.0,
        most(|e| e.requests as f64).ln_1p() / 10.0,
        proposal.radius.capacity,
        proposal.radius.requests,
    ]
}

/// Which share is beyond what is usual: of requests that go wrong or, where a rate has risen, of the rate.
fn beyond(evidence: &Evidence) -> f64 {
    if evidence.signal.is_share() {
        return evidence.observed - evidence.baseline;
    }
    let rates = matches!(evidence.signal, Signal::Rate | Signal::ClientRate | Signal::ClientPace);
    if rates && evidence.observed > 0.0 { 1.0 - evidence.baseline / evidence.observed } else { 0.0 }
}
