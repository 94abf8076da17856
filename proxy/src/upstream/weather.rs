//! Whether any endpoint's weather has changed: one number for the whole process, so that a worker may
//! keep what it has worked out from the weather and ask with one read whether it still holds.
//!
//! A change is seen by other threads a moment later, never missed: whoever changes an endpoint's health,
//! breaker or ejection says so after it.

use std::sync::atomic::{AtomicU64, Ordering};

static VERSION: AtomicU64 = AtomicU64::new(1);

/// Something has changed.
pub fn changed() {
    VERSION.fetch_add(1, Ordering::Release);
}

/// The number of changes so far.
#[must_use]
pub fn version() -> u64 {
    VERSION.load(Ordering::Acquire)
}
