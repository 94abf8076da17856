//! Sheds before it dies: what this process may use of memory and descriptors, and what it does when that
//! runs out.
//!
//! Ten times a second is looked how much is in use. From `shed_at` on, new requests are answered 503, and
//! connections without a request are closed; from `stop_at` on, new connections are closed at once. Like
//! Envoy's overload manager with its three usual actions. Descriptors can run out between two looks, so they
//! are also reckoned at each accept, two for each connection, as HAProxy does: else clients that come in a
//! crowd would take what their own requests need to reach an endpoint. And should the kernel have none left all the same, a spare one is given
//! up to take connections and close them, because one that nobody accepts hangs.
//!
//! Workers read atomics here; nothing is locked for a request.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::settings::OverloadBounds;

mod limits;
mod look;
mod pressure;
mod spare;

pub use limits::raise_descriptors;
pub(crate) use look::run;
pub use pressure::{Level, Pressure, Usage};
pub(crate) use spare::{Spare, is_exhausted};

/// What workers ask, and what they are told.
#[derive(Debug)]
pub struct Overload {
    level: AtomicU8,
    /// Clients' connections at the last look.
    looked_at: AtomicUsize,
    /// So many more of them fit before they are closed at once.
    room: AtomicUsize,
    /// So many may be open at all, if each is to have one to an endpoint.
    most: AtomicUsize,
    /// Descriptors that were open before the first client came.
    own: AtomicU64,
    pressure: Mutex<Pressure>,
    /// Counts up whenever connections without a request are to be closed.
    rounds: watch::Sender<u32>,
}

impl Default for Overload {
    /// Nothing known yet, and nothing refused.
    fn default() -> Self {
        Self {
            level: AtomicU8::new(Level::Calm as u8),
            looked_at: AtomicUsize::new(0),
            room: AtomicUsize::new(usize::MAX),
            most: AtomicUsize::new(usize::MAX),
            own: AtomicU64::new(0),
            pressure: Mutex::default(),
            rounds: watch::Sender::new(0),
        }
    }
}

impl Overload {
    /// A first look, before anyone is told that this process serves: the first clients may be a crowd.
    pub(crate) fn begin(&self, bounds: &OverloadBounds) {
        if let Some((usage, _)) = limits::Descriptors::default().look(Instant::now()) {
            self.own.store(usage.used, Ordering::Relaxed);
            self.reckon(usage, bounds.stop_at, 0);
        }
    }

    /// Whether new requests are refused.
    #[must_use]
    pub fn sheds(&self) -> bool {
        self.level.load(Ordering::Relaxed) >= Level::Sheds as u8
    }

    /// Whether one more connection is too many, where `open` are open, itself included.
    #[must_use]
    pub fn refuses_connection(&self, open: usize) -> bool {
        let came = open.saturating_sub(self.looked_at.load(Ordering::Relaxed));
        came > self.room.load(Ordering::Relaxed)
            || open > self.most.load(Ordering::Relaxed)
            || self.level.load(Ordering::Relaxed) >= Level::Stops as u8
    }

    /// What the last look has shown.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        *self.last()
    }

    pub(crate) fn rounds(&self) -> watch::Receiver<u32> {
        self.rounds.subscribe()
    }

    fn set(&self, pressure: Pressure) {
        self.level.store(pressure.level as u8, Ordering::Relaxed);
        *self.last() = pressure;
    }

    /// Of so many descriptors so many are in use, `connections` of them by clients.
    fn reckon(&self, Usage { used, most }: Usage, stop_at: f64, connections: usize) {
        let own = self.own.load(Ordering::Relaxed);
        let pairs = |used: u64| ((most as f64 * stop_at - used as f64).max(0.0) / 2.0) as usize;
        self.room.store(pairs(used), Ordering::Relaxed);
        self.most.store(pairs(own), Ordering::Relaxed);
        self.looked_at.store(connections, Ordering::Relaxed);
    }

    fn close_idle(&self) {
        self.rounds.send_modify(|round| *round = round.wrapping_add(1));
    }

    fn last(&self) -> MutexGuard<'_, Pressure> {
        self.pressure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_reckoned_between_two_looks() {
        let overload = Overload::default();
        assert!(!overload.refuses_connection(1_000_000), "nothing is known before the first look");
        overload.own.store(10, Ordering::Relaxed);
        overload.reckon(Usage { used: 50, most: 100 }, 0.9, 20);
        // 40 more may be opened: 20 connections, each with one to an endpoint.
        assert!(!overload.refuses_connection(40));
        assert!(overload.refuses_connection(41));
        // Where endpoints have not been asked yet, their part is kept for them all the same.
        overload.reckon(Usage { used: 45, most: 100 }, 0.9, 35);
        assert!(!overload.refuses_connection(40));
        assert!(overload.refuses_connection(41), "though 10 more would fit just now");
        assert!(!overload.sheds());
        overload.set(Pressure { level: Level::Stops, ..Pressure::default() });
        assert!(overload.sheds() && overload.refuses_connection(1));
    }
}
