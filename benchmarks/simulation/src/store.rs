//! A brain's disk: what is on it outlives the brain. Appends all or none, as the real store does.

use ::brain::audit::{FIRST_PREV_HASH, Record};
use ::brain::domain::{Actor, Event};

/// What survives a crash.
#[derive(Debug, Default)]
pub struct Store {
    pub records: Vec<Record>,
    pub epoch: u64,
    pub memory: Option<(i64, Vec<u8>)>,
    /// It cannot be written now.
    pub full: bool,
}

impl Store {
    /// Takes the epoch above `seen`; `None` where it cannot be written down.
    pub fn raise_epoch(&mut self, seen: u64) -> Option<u64> {
        if self.full {
            return None;
        }
        self.epoch = self.epoch.max(seen + 1);
        Some(self.epoch)
    }

    /// Appends one record an event, all or none; whether it did.
    pub fn append(&mut self, at_ms: i64, events: &[(Actor, Event)]) -> bool {
        if self.full {
            return false;
        }
        for (actor, event) in events {
            let last = self.records.last();
            let head = last.map_or(FIRST_PREV_HASH.to_owned(), |r| r.hash.clone());
            let seq = last.map_or(0, |r| r.seq) + 1;
            self.records.push(Record::of(seq, at_ms, actor, event, &head).unwrap());
        }
        true
    }

    /// The highest number in ids that records of `kind` hold at `pointer`.
    pub fn highest(&self, kind: &str, pointer: &str, prefix: &str) -> u64 {
        let of_kind = self.records.iter().filter(|r| r.kind == kind);
        let ids = of_kind.filter_map(|r| r.data.pointer(pointer)?.as_str()?.strip_prefix(prefix));
        ids.filter_map(|n| n.parse().ok()).max().unwrap_or(0)
    }

    /// Whether the last word of a person was to freeze.
    pub fn is_frozen(&self) -> bool {
        let last = self.records.iter().rev().find(|r| r.kind == "frozen" || r.kind == "unfrozen");
        last.is_some_and(|r| r.kind == "frozen")
    }
}
