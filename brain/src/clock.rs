//! The wall clock, for those who stand outside the stages. The stages are told the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, milliseconds since the epoch.
#[must_use]
pub fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
