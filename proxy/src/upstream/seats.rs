//! How many connections to one endpoint there may be, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module. Any number, unless told otherwise.
#[derive(Debug)]
pub struct Seats {
    taken: AtomicU32,
    most: AtomicU32,
    /// What one worker may keep idle, so that it does not sit on what another needs.
    idle: AtomicU32,
}

impl Default for Seats {
    fn default() -> Self {
        Self { taken: AtomicU32::new(0), most: AtomicU32::new(u32::MAX), idle: AtomicU32::new(u32::MAX) }
    }
}

/// One connection's; it is free again when this is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seats {
    /// So many from now on, shared by so many workers; absent: any number.
    pub fn allow(&self, most: Option<u32>, workers: usize) {
        let most = most.unwrap_or(u32::MAX);
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        self.most.store(most, Ordering::Relaxed);
        self.idle.store(if most == u32::MAX { most } else { most / workers }, Ordering::Relaxed);
    }

    /// One more, if there may be one.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let most = self.most.load(Ordering::Relaxed);
        let take = |taken: u32| (taken < most).then_some(taken.saturating_add(1));
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Seat(Arc::clone(self)))
    }

    /// How many one worker may keep idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.load(Ordering::Relaxed) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_taken_once_and_free_when_its_connection_is_gone() {
        let seats = Arc::new(Seats::default());
        let before: Vec<_> = (0..5).filter_map(|_| seats.take()).collect();
        seats.allow(Some(6), 4);
        assert_eq!((before.len(), seats.idle()), (5, 1));
        let last = seats.take();
        assert!(last.is_some() && seats.take().is_none());
        drop(last);
        assert!(seats.take().is_some());
        seats.allow(None, 4);
        assert!((0..100).all(|_| seats.take().is_some()));
    }
}
