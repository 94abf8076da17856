//! Which trace a request belongs to: read from its header fields, said on to the endpoint.
//!
//! Parsers are pure, take any bytes and never panic: what is malformed is dropped, and a new trace
//! begins. W3C Trace Context (level 1, and of level 2 the `random` flag and keys that begin with a
//! digit) and Zipkin's B3, single and multiple. Absent on purpose: baggage, which is the applications'
//! affair and passes through, and an entry of this proxy's own in `tracestate`.

pub mod b3;
pub mod ids;
pub mod propagation;
pub mod sampling;
pub mod traceparent;
pub mod tracestate;

pub use ids::Ids;
pub use propagation::{Format, extract, inject};
pub use sampling::Ratio;

/// A place in a trace: what a caller says of itself, and what is said to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace; never 0.
    pub trace: u128,
    /// The span that the receiver's spans are children of; never 0.
    pub span: u64,
    /// Whether the sender records; `None` where it leaves that to the receiver (B3 only).
    pub sampled: Option<bool>,
    /// The sender's promise that the trace's id is random (level 2).
    pub random: bool,
}

/// The number that `digits` write, if they are nothing but lower-case hexadecimal digits.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    let digit = |value: u128, digit: &u8| match digit {
        b'0'..=b'9' => Some(value << 4 | u128::from(digit - b'0')),
        b'a'..=b'f' => Some(value << 4 | u128::from(digit - b'a' + 10)),
        _ => None,
    };
    if digits.len() > 32 { None } else { digits.iter().try_fold(0, digit) }
}

/// As [`lower_hex`], for what may not be 0 and is 16 digits long.
fn span_id(digits: &[u8]) -> Option<u64> {
    let id = u64::try_from(lower_hex(digits)?).ok()?;
    (digits.len() == 16 && id != 0).then_some(id)
}
