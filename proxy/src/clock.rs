//! The time by which breakers, ejections and slow starts go: one for all threads of the process.

use std::sync::LazyLock;

use tokio::time::Instant;

static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Milliseconds since the clock was first asked; at least 1, so that 0 can mean "never".
#[must_use]
pub fn ms_at(now: Instant) -> u64 {
    let since = now.into_std().saturating_duration_since(*BEGINNING);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The same in nanoseconds.
#[must_use]
pub fn ns_at(now: Instant) -> u64 {
    let since = now.into_std().saturating_duration_since(*BEGINNING);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// [`ms_at`] this moment.
#[must_use]
pub fn now_ms() -> u64 {
    ms_at(Instant::now())
}
