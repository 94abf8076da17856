//! What is seen of one request from outside the order: where it was led, and how it ended, once.
//!
//! Counting of endpoints' outcomes is the flight's ([`super::flight`]); this is the client's side of it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::time::Instant;

use crate::error::Refusal;
use crate::routing::view::Target;
use crate::telemetry::shard::RouteCounters;
use crate::worker::Worker;

/// See the module. Dropped before an answer was known: the client went away.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    worker: &'a Worker,
    started: Instant,
    counters: RefCell<Option<Arc<RouteCounters>>>,
    ended: Cell<bool>,
}

impl<'a> Seen<'a> {
    pub(super) fn begin(worker: &'a Worker, started: Instant) -> Self {
        Self { worker, started, counters: RefCell::default(), ended: Cell::new(false) }
    }

    /// A route and a share of its split were found.
    pub(super) fn led_to(&self, target: &Target) {
        *self.counters.borrow_mut() = Some(Arc::clone(&target.counters));
    }

    /// The proxy answers itself.
    pub(super) fn refused(&self, refusal: Refusal) {
        self.worker.shard.refused(refusal.reason());
        self.answered(refusal.status().as_u16());
    }

    /// The response's head is known.
    pub(super) fn answered(&self, status: u16) {
        self.ended.set(true);
        if let Some(counters) = &*self.counters.borrow() {
            counters.answered(status, self.started.elapsed());
        }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.counters.borrow().as_ref().filter(|_| !self.ended.get()) {
            counters.abandoned();
        }
    }
}
