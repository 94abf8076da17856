//! Walking the chain: each record must be the successor of the one before, and hash to its own hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{FIRST_PREV_HASH, Record};
use super::tombstone::{self, Seal, Tombstone};

/// The first thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaw {
    /// At which record.
    pub seq: u64,
    /// In one sentence.
    pub why: String,
}

/// What `audit verify` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Whether every record is as it was written.
    pub ok: bool,
    /// Records found good, from the first one that is there.
    pub records: u64,
    /// Records up to this one were removed, as a signed tombstone in the log says; 0: none was.
    #[serde(default)]
    pub removed_through: u64,
    /// The hash of the last good one: who keeps it elsewhere can prove the whole log later.
    pub head: String,
    /// The first flaw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<Flaw>,
}

/// A walk along the log, record by record, in constant memory.
#[derive(Debug, Clone)]
pub struct Chain {
    records: u64,
    /// The last record's seq and hash.
    seq: u64,
    head: String,
    /// The end of what is not there any more.
    removed: Option<Removed>,
    seal: Option<Seal>,
}

/// The beginning of a log is gone: a tombstone further on must say so.
#[derive(Debug, Clone)]
struct Removed {
    through: u64,
    head: String,
    said: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self::sealed(None)
    }
}

impl Chain {
    /// A walk along a log whose tombstones bear this seal.
    #[must_use]
    pub fn sealed(seal: Option<Seal>) -> Self {
        Self { records: 0, seq: 0, head: FIRST_PREV_HASH.to_owned(), removed: None, seal }
    }

    /// Steps to `record`.
    ///
    /// # Errors
    /// It is not the next one, or not as it was written; the walk stays where it was.
    pub fn step(&mut self, record: &Record) -> Result<(), Flaw> {
        if self.records == 0 && self.removed.is_none() && record.seq > 1 {
            if record.hash != record.computed_hash() {
                return Err(self.flaw(format!("record 1 is missing; {} follows", record.seq)));
            }
            let (through, head) = (record.seq - 1, record.prev_hash.clone());
            (self.seq, self.head) = (through, head.clone());
            self.removed = Some(Removed { through, head, said: false });
        }
        let expected = self.seq + 1;
        if record.seq != expected {
            return Err(self.flaw(format!("record {expected} is missing; {} follows", record.seq)));
        }
        if record.prev_hash != self.head {
            return Err(self.flaw("prev_hash is not the hash of the record before".to_owned()));
        }
        if record.hash != record.computed_hash() {
            return Err(self.flaw("the record's hash is not the hash of its fields".to_owned()));
        }
        if record.kind == tombstone::KIND {
            self.read_tombstone(record)?;
        }
        (self.records, self.seq) = (self.records + 1, expected);
        self.head.clone_from(&record.hash);
        Ok(())
    }

    /// A tombstone must be this log's own, and what it names must be gone, up to the hash that it names.
    fn read_tombstone(&mut self, record: &Record) -> Result<(), Flaw> {
        let read = serde_json::from_value::<Tombstone>(record.data["tombstone"].clone());
        let Ok(tombstone) = read else { return Err(self.flaw("this is no tombstone".to_owned())) };
        let Some(seal) = &self.seal else {
            return Err(self.flaw("audit.key, by which tombstones are told, cannot be read".to_owned()));
        };
        if !seal.is_on(&tombstone) {
            return Err(self.flaw("the tombstone is not signed by this log's key".to_owned()));
        }
        let through = tombstone.through_seq;
        match &mut self.removed {
            Some(removed) if removed.through == through && removed.head == tombstone.head => {
                removed.said = true;
                Ok(())
            }
            // An older one: what it names lies within what a later one names.
            Some(removed) if removed.through > through => Ok(()),
            _ => Err(self.flaw(format!("record {through} should be gone, and is not as the tombstone says"))),
        }
    }

    /// A flaw at the record that comes next.
    #[must_use]
    pub fn flaw(&self, why: String) -> Flaw {
        Flaw { seq: self.seq + 1, why }
    }

    /// The end of the walk, against what the writer noted as its last record.
    #[must_use]
    pub fn end(self, noted: Option<(u64, String)>, flaw: Option<Flaw>) -> Proof {
        let silent = self.removed.as_ref().filter(|removed| !removed.said).map(|removed| Flaw {
            seq: 1,
            why: format!("records 1 to {} are missing, and no tombstone says so", removed.through),
        });
        let flaw = flaw.or(silent).or_else(|| match noted {
            Some((seq, hash)) if (seq, &hash) != (self.seq, &self.head) => {
                Some(self.flaw(format!("the log ends at record {}, but {seq} were written", self.seq)))
            }
            _ => None,
        });
        let removed_through = self.removed.map_or(0, |removed| removed.through);
        Proof { ok: flaw.is_none(), records: self.records, removed_through, head: self.head, flaw }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::domain::{Actor, ActorKind, Event, Mode};

    fn log() -> Vec<Record> {
        let actor = Actor { kind: ActorKind::Person, id: "operator".into() };
        let mut head = FIRST_PREV_HASH.to_owned();
        (1..=5)
            .map(|seq| {
                let event = Event::Mode { mode: Mode::Observe, kind: None, by: actor.clone() };
                let mut record = Record::of(seq, 1_000 * seq as i64, &actor, &event, &head).unwrap();
                record.service = Some("cart".into());
                record.incident = Some("inc-1".into());
                record.action = Some("act-1".into());
                record.hash = record.computed_hash();
                head.clone_from(&record.hash);
                record
            })
            .collect()
    }

    fn first_flaw(records: &[Record]) -> Option<u64> {
        let mut chain = Chain::default();
        records.iter().find_map(|r| chain.step(r).err()).map(|flaw| flaw.seq)
    }

    #[test]
    fn an_untouched_log_has_no_flaw() {
        assert_eq!(first_flaw(&log()), None);
    }

    #[test]
    fn tampering_with_any_field_of_any_record_is_found_at_that_record() {
        let changes: [fn(&mut Record); 10] = [
            |r| r.seq += 100,
            |r| r.at.replace_range(0..4, "1999"),
            |r| r.actor.id.push('x'),
            |r| r.actor.kind = ActorKind::Brain,
            |r| r.kind.push('x'),
            |r| r.service = None,
            |r| r.incident = Some("inc-2".into()),
            |r| r.action = Some("act-2".into()),
            |r| r.data = serde_json::json!({"mode": "autonomous"}),
            |r| r.hash.replace_range(0..2, "zz"),
        ];
        for (n, change) in changes.iter().enumerate() {
            for at in 0..5 {
                let mut records = log();
                change(&mut records[at]);
                assert_eq!(first_flaw(&records), Some(at as u64 + 1), "change {n}");
                if n != 0 {
                    // Whoever rehashes the record breaks the link of the next.
                    records[at].hash = records[at].computed_hash();
                    let expected = (at < 4 && n != 9).then_some(at as u64 + 2);
                    assert_eq!(first_flaw(&records), expected, "change {n} rehashed");
                }
            }
        }
    }

    #[test]
    fn a_removed_record_and_a_cut_tail_are_found() {
        let mut records = log();
        records.remove(2);
        assert_eq!(first_flaw(&records), Some(3));
        let mut chain = Chain::default();
        for record in &log()[..3] {
            chain.step(record).unwrap();
        }
        let proof = chain.end(Some((5, log()[4].hash.clone())), None);
        assert!(!proof.ok);
        assert_eq!(proof.flaw.unwrap().seq, 4);
    }
}
