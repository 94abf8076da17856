//! Reloads take turns, and what became of them is kept for operators' alerts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::source::Fingerprint;

/// The longest reason that is kept of a refusal, characters.
const MAX_REASON: usize = 2_000;

/// Counts of reloads since the start; the start itself is a first success, but no reload.
#[derive(Debug)]
pub struct Reloads {
    /// Held from reading the files until they are in force: of two reloads the one that read first would
    /// else be able to put its older configuration in force last.
    pub turn: tokio::sync::Mutex<()>,
    /// Told of each one that ended.
    pub ended: Notify,
    taken: AtomicU64,
    refused: AtomicU64,
    last_was_taken: AtomicBool,
    in_force_since_ms: AtomicU64,
    last: Mutex<Last>,
}

/// What the last one read, and why it was refused.
#[derive(Debug, Default)]
struct Last {
    read: Fingerprint,
    refusal: Option<String>,
}

/// [`Reloads`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadsSeen {
    /// Configurations put in force.
    pub taken: u64,
    /// Configurations that changed nothing, because something was wrong with them.
    pub refused: u64,
    /// Whether the last one was taken.
    pub last_was_taken: bool,
    /// Why the last one was refused.
    pub last_refusal: Option<String>,
    /// Since when the configuration in force is, milliseconds of Unix time.
    pub in_force_since_ms: u64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            ended: Notify::default(),
            taken: AtomicU64::default(),
            refused: AtomicU64::default(),
            last_was_taken: AtomicBool::new(true),
            in_force_since_ms: AtomicU64::new(now_ms()),
            last: Mutex::default(),
        }
    }
}

impl Reloads {
    /// What files are about to be read, now as they are.
    pub fn will_read(&self, files: Fingerprint) {
        self.last().read = files;
    }

    /// What the last one read. A file that has changed since then differs.
    #[must_use]
    pub fn have_read(&self) -> Fingerprint {
        self.last().read.clone()
    }

    /// One more, taken or refused for a reason.
    pub fn note(&self, refusal: Option<&str>) {
        let taken = refusal.is_none();
        self.last().refusal = refusal.map(|reason| reason.chars().take(MAX_REASON).collect());
        let count = if taken { &self.taken } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        self.last_was_taken.store(taken, Ordering::Relaxed);
        if taken {
            self.in_force_since_ms.store(now_ms(), Ordering::Relaxed);
        }
        self.ended.notify_one();
    }

    /// As they are now.
    #[must_use]
    pub fn seen(&self) -> ReloadsSeen {
        ReloadsSeen {
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_was_taken: self.last_was_taken.load(Ordering::Relaxed),
            last_refusal: self.last().refusal.clone(),
            in_force_since_ms: self.in_force_since_ms.load(Ordering::Relaxed),
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        reloads.note(Some("line 3 is wrong"));
        let last_refusal = Some("line 3 is wrong".to_owned());
        assert_eq!(
            reloads.seen(),
            ReloadsSeen { refused: 1, last_was_taken: false, last_refusal, ..started.clone() }
        );
        reloads.note(None);
        let seen = reloads.seen();
        assert_eq!((seen.last_was_taken, seen.last_refusal), (true, None));
    }
}
