//! What became of reloads, for operators' alerts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Counts of reloads since the start; the start itself is a first success, but no reload.
#[derive(Debug)]
pub struct Reloads {
    taken: AtomicU64,
    refused: AtomicU64,
    last_was_taken: AtomicBool,
    in_force_since_ms: AtomicU64,
}

/// [`Reloads`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadsSeen {
    /// Configurations put in force.
    pub taken: u64,
    /// Configurations that changed nothing, because something was wrong with them.
    pub refused: u64,
    /// Whether the last one was taken.
    pub last_was_taken: bool,
    /// Since when the configuration in force is, milliseconds of Unix time.
    pub in_force_since_ms: u64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            taken: AtomicU64::default(),
            refused: AtomicU64::default(),
            last_was_taken: AtomicBool::new(true),
            in_force_since_ms: AtomicU64::new(now_ms()),
        }
    }
}

impl Reloads {
    /// One more, `taken` or refused.
    pub fn note(&self, taken: bool) {
        let count = if taken { &self.taken } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        self.last_was_taken.store(taken, Ordering::Relaxed);
        if taken {
            self.in_force_since_ms.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// As they are now.
    #[must_use]
    pub fn seen(&self) -> ReloadsSeen {
        ReloadsSeen {
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_was_taken: self.last_was_taken.load(Ordering::Relaxed),
            in_force_since_ms: self.in_force_since_ms.load(Ordering::Relaxed),
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_reload_leaves_the_time_of_the_one_in_force() {
        let reloads = Reloads::default();
        let started = reloads.seen();
        assert!(started.last_was_taken && started.in_force_since_ms > 1_600_000_000_000);
        reloads.note(false);
        assert_eq!(reloads.seen(), ReloadsSeen { refused: 1, last_was_taken: false, ..started });
        reloads.note(true);
        assert!(reloads.seen().last_was_taken);
    }
}
