//! Windows that the brain has not yet acknowledged: bounded, the oldest goes first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::telemetry::Window;
use tokio::sync::Notify;

/// Half a minute of windows, at one a second.
pub const MAX_WAITING: usize = 30;

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    waiting: Mutex<VecDeque<Window>>,
    arrived: Notify,
    dropped: Arc<AtomicU64>,
}

impl Outbox {
    /// Empty; counts what it drops in `dropped`.
    #[must_use]
    pub fn new(dropped: Arc<AtomicU64>) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), dropped }
    }

    /// Takes a window in; beyond [`MAX_WAITING`] the oldest is dropped and counted.
    pub fn push(&self, window: Window) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(window);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The oldest window after `seq` (all, where `None`), waiting for one. One waiter at a time.
    pub async fn next_after(&self, seq: Option<u64>) -> Window {
        loop {
            if let Some(window) = self.find_after(seq) {
                return window;
            }
            self.arrived.notified().await;
        }
    }

    /// The brain has everything up to `seq`.
    pub fn acknowledge(&self, seq: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|window| window.seq > seq);
    }

    fn find_after(&self, seq: Option<u64>) -> Option<Window> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().find(|window| seq.is_none_or(|seq| window.seq > seq)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(seq: u64) -> Window {
        Window {
            proxy: "p".into(),
            boot: "b".into(),
            seq,
            start_ms: 0,
            duration_ms: 1_000,
            config_hash: String::new(),
            cells: Vec::new(),
            clients: Vec::new(),
            clients_other: None,
        }
    }

    #[tokio::test]
    async fn the_oldest_is_dropped_and_counted_when_the_brain_is_away() {
        let dropped = Arc::new(AtomicU64::new(0));
        let outbox = Outbox::new(Arc::clone(&dropped));
        (0..MAX_WAITING as u64 + 3).for_each(|seq| outbox.push(window(seq)));
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        assert_eq!(outbox.next_after(None).await.seq, 3);
    }

    #[tokio::test]
    async fn what_was_not_acknowledged_is_sent_again_and_what_was_is_not() {
        let outbox = Outbox::new(Arc::default());
        (1..=4).for_each(|seq| outbox.push(window(seq)));
        assert_eq!(outbox.next_after(Some(1)).await.seq, 2);
        outbox.acknowledge(3);
        assert_eq!(outbox.next_after(None).await.seq, 4);
    }
}
