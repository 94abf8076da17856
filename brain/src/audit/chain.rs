//! Walking the chain: each record must be the successor of the one before, and hash to its own hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{FIRST_PREV_HASH, Record};

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
    /// Records found good, from the first on.
    pub records: u64,
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
    head: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { records: 0, head: FIRST_PREV_HASH.to_owned() }
    }
}

impl Chain {
    /// Steps to `record`.
    ///
    /// # Errors
    /// It is not the next one, or not as it was written; the walk stays where it was.
    pub fn step(&mut self, record: &Record) -> Result<(), Flaw> {
        let expected = self.records + 1;
        if record.seq != expected {
            return Err(self.flaw(format!("record {expected} is missing; {} follows", record.seq)));
        }
        if record.prev_hash != self.head {
            return Err(self.flaw("prev_hash is not the hash of the record before".to_owned()));
        }
        if record.hash != record.computed_hash() {
            return Err(self.flaw("the record's hash is not the hash of its fields".to_owned()));
        }
        self.records = expected;
        self.head.clone_from(&record.hash);
        Ok(())
    }

    /// A flaw at the record that comes next.
    #[must_use]
    pub fn flaw(&self, why: String) -> Flaw {
        Flaw { seq: self.records + 1, why }
    }

    /// The end of the walk, against what the writer noted as its last record.
    #[must_use]
    pub fn end(self, noted: Option<(u64, String)>, flaw: Option<Flaw>) -> Proof {
        let flaw = flaw.or_else(|| match noted {
            Some((seq, hash)) if (seq, &hash) != (self.records, &self.head) => {
                Some(self.flaw(format!("the log ends at record {}, but {seq} were written", self.records)))
            }
            _ => None,
        });
        Proof { ok: flaw.is_none(), records: self.records, head: self.head, flaw }
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
