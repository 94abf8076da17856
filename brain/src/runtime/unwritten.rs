//! Events that are not durable yet: kept in order and tried again, within a bound.

use std::collections::VecDeque;

use crate::audit::StoreError;
use crate::domain::{Actor, Event};

/// The most turns with events that wait for the disk.
const MAX_BATCHES: usize = 1_024;

type Batch = (i64, Vec<(Actor, Event)>);

/// What waits to be written, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    batches: VecDeque<Batch>,
    lost: u64,
    failing: bool,
}

impl Unwritten {
    /// Whether everything is durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Events of one turn.
    pub(crate) fn push(&mut self, at_ms: i64, events: Vec<(Actor, Event)>) {
        if events.is_empty() {
            return;
        }
        if self.batches.len() >= MAX_BATCHES {
            self.lost = self.lost.saturating_add(events.len() as u64);
            return;
        }
        self.batches.push_back((at_ms, events));
    }

    /// The oldest batch.
    pub(crate) fn first(&self) -> Option<(i64, &[(Actor, Event)])> {
        self.batches.front().map(|(at_ms, events)| (*at_ms, events.as_slice()))
    }

    /// The oldest batch is durable.
    pub(crate) fn written(&mut self) {
        self.batches.pop_front();
        if self.batches.is_empty() && self.failing {
            self.failing = false;
            tracing::warn!(lost = self.lost, "the audit log can be written again");
            self.lost = 0;
        }
    }

    /// It could not be written; said once, not at every turn.
    pub(crate) fn failed(&mut self, why: &StoreError) {
        if !self.failing {
            self.failing = true;
            tracing::error!(%why, "no action is taken until the audit log can be written");
        }
    }
}
