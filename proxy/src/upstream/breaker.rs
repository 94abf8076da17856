//! A breaker per endpoint, as a small state machine. Closed lets traffic flow.

/// See the module.
#[derive(Debug, Default)]
pub struct Breaker {}
