//! When the audit log's old end is let go: once an hour, in parts, so that no turn waits long.

use crate::audit::{AuditStore, MAX_REMOVED, Record, Retention};
use crate::domain::{Actor, Event};

const EVERY_MS: i64 = 3_600_000;
/// Where there is more than one part.
const NEXT_PART_MS: i64 = 5_000;

/// See the module.
#[derive(Debug)]
pub struct Retiring {
    retention: Retention,
    by: Actor,
    due_ms: i64,
}

impl Retiring {
    /// By this policy, in the name of this brain; due at once.
    #[must_use]
    pub fn new(retention: Retention, by: Actor) -> Self {
        Self { retention, by, due_ms: i64::MIN }
    }

    /// Removes what is due; what was written about it.
    pub(super) async fn step(&mut self, now_ms: i64, store: &mut AuditStore) -> Vec<Record> {
        if now_ms < self.due_ms {
            return Vec::new();
        }
        self.due_ms = now_ms.saturating_add(EVERY_MS);
        match store.retire(now_ms, &self.retention, &self.by).await {
            Ok(written) => {
                let removed = written.iter().filter_map(removed).sum::<u64>();
                if removed > 0 {
                    tracing::info!(removed, "the audit log was shortened at its old end");
                }
                if removed >= MAX_REMOVED {
                    self.due_ms = now_ms.saturating_add(NEXT_PART_MS);
                }
                written
            }
            Err(why) => {
                tracing::warn!("the audit log could not be shortened: {why}");
                Vec::new()
            }
        }
    }
}

fn removed(record: &Record) -> Option<u64> {
    match record.event() {
        Ok(Event::Tombstone { tombstone }) => Some(tombstone.records),
        _ => None,
    }
}
