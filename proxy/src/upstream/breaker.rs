//! A breaker per endpoint, as a small state machine. Closed lets traffic flow.

/// See the module.
#[derive(Debug, Default)]
pub struct Breaker {}

impl Breaker {
    /// See the module.
    #[must_use]
    pub fn state(&self, _now_ms: u64) -> protocol::snapshot::BreakerState {
        protocol::snapshot::BreakerState::Closed
    }
}

/// Milliseconds of the clock that breakers run by.
#[must_use]
pub fn now_ms() -> u64 {
    0
}
