//! Learn: what became of each kind of action, how sure it was said to be, and what that earns it.
//!
//! Only measured effects and people's answers teach. The prior is the rule's own `helps`, worth
//! [`PRIOR_TRIALS`] trials, and what the simulator has shown, worth [`SIMULATOR_COUNTS`]: a new mesh starts careful,
//! not ignorant. Kept in the store with what is normal; unlike that, a record does not grow old.

mod autonomy;
mod calibration;
mod features;
mod model;
mod opinion;
mod prior;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use autonomy::{Earned, rows};
pub use calibration::Curve;
#[cfg(test)]
pub(crate) use features::of as numbers_of;
pub use model::MIN_OUTCOMES;
pub use opinion::{Opinion, SIMULATOR_COUNTS};
pub(crate) use prior::Lessons;
#[cfg(test)]
pub(crate) use prior::{Prior, Shown, Trial};

use crate::domain::{CauseKind, EffectKind, Proposal};
use model::Model;

/// So many trials is a rule's own word worth.
pub const PRIOR_TRIALS: f64 = 20.0;
/// A person's no, as a part of a trial that did not help.
const NO_COUNTS: f64 = 0.5;
/// Kinds times causes: more there cannot be.
const MAX_RECORDS: usize = 14 * 7;

/// What became of one kind of action, for one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// It did what it should.
    pub helped: u32,
    /// It changed nothing.
    pub unchanged: u32,
    /// It made things worse.
    pub harmed: u32,
    /// A person agreed to it.
    pub approved: u32,
    /// A person refused it, or undid it.
    pub rejected: u32,
}

impl Outcomes {
    /// Effects that were measured.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.helped.saturating_add(self.unchanged).saturating_add(self.harmed)
    }

    fn add(&mut self, other: &Self) {
        let sum = |a: &mut u32, b: u32| *a = a.saturating_add(b);
        sum(&mut self.helped, other.helped);
        sum(&mut self.unchanged, other.unchanged);
        sum(&mut self.harmed, other.harmed);
        sum(&mut self.approved, other.approved);
        sum(&mut self.rejected, other.rejected);
    }
}

/// One kind of action against one cause.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    kind: String,
    cause: CauseKind,
    outcomes: Outcomes,
}

/// Everything learned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Learned {
    records: Vec<Record>,
    curves: BTreeMap<String, Curve>,
    /// By kind, what it has done since it last did harm.
    since_harm: BTreeMap<String, Outcomes>,
    /// By kind, until when it only advises, milliseconds since the epoch.
    demoted: BTreeMap<String, i64>,
    /// By kind and cause, what tells when it helps.
    #[serde(default)]
    models: BTreeMap<String, BTreeMap<CauseKind, Model>>,
    /// Counts up with each lesson.
    lessons: u64,
}

impl Learned {
    /// How many lessons there were: more of them is something to keep.
    #[must_use]
    pub fn lessons(&self) -> u64 {
        self.lessons
    }

    /// An effect was measured; `said` is the confidence before calibration.
    pub fn effect(&mut self, kind: &str, cause: CauseKind, effect: EffectKind, said: f64) {
        let one = match effect {
            EffectKind::Helped => Outcomes { helped: 1, ..Outcomes::default() },
            EffectKind::Unchanged => Outcomes { unchanged: 1, ..Outcomes::default() },
            EffectKind::Harmed => Outcomes { harmed: 1, ..Outcomes::default() },
            EffectKind::Unknown => return,
        };
        self.curves.entry(kind.to_owned()).or_default().learn(said, effect == EffectKind::Helped);
        self.add(kind, cause, one);
        if effect == EffectKind::Harmed {
            self.since_harm.insert(kind.to_owned(), Outcomes::default());
        }
    }

    /// An effect of what was proposed was measured: the model of its kind and cause learns when that helps.
    pub fn outcome(&mut self, proposal: &Proposal, cause: CauseKind, effect: EffectKind) {
        if effect != EffectKind::Unknown {
            let of_kind = self.models.entry(proposal.action.kind.name().to_owned()).or_default();
            let model = of_kind.entry(cause).or_default();
            model.learn(&features::of(proposal), effect == EffectKind::Helped);
        }
    }

    /// What the models say of a proposal against such a cause.
    #[must_use]
    pub fn opinion(&self, proposal: &Proposal, cause: CauseKind) -> Opinion {
        let kind = proposal.action.kind.name();
        let here = self.models.get(kind).and_then(|of_kind| of_kind.get(&cause));
        opinion::of(here, Lessons::shipped().model(kind, cause), &features::of(proposal))
    }

    /// A person agreed to an action, or refused or undid it.
    pub fn answered(&mut self, kind: &str, cause: CauseKind, yes: bool) {
        let one = Outcomes { approved: u32::from(yes), rejected: u32::from(!yes), ..Outcomes::default() };
        self.add(kind, cause, one);
    }

    /// A kind did harm: until then it only advises.
    pub fn demote(&mut self, kind: &str, until_ms: i64) {
        self.demoted.insert(kind.to_owned(), until_ms);
    }

    /// A person has set the mode of a kind: what it did is forgiven.
    pub fn forgive(&mut self, kind: &str) {
        self.lessons = self.lessons.wrapping_add(1);
        self.demoted.remove(kind);
    }

    /// The kinds that only advise now, and until when.
    #[must_use]
    pub fn demoted(&self, now_ms: i64) -> BTreeMap<String, i64> {
        self.demoted.iter().filter(|(_, until)| **until > now_ms).map(|(k, u)| (k.clone(), *u)).collect()
    }

    fn add(&mut self, kind: &str, cause: CauseKind, one: Outcomes) {
        self.lessons = self.lessons.wrapping_add(1);
        self.since_harm.entry(kind.to_owned()).or_default().add(&one);
        if let Some(record) = self.records.iter_mut().find(|r| r.kind == kind && r.cause == cause) {
            record.outcomes.add(&one);
        } else if self.records.len() < MAX_RECORDS {
            self.records.push(Record { kind: kind.to_owned(), cause, outcomes: one });
        }
    }

    /// What became of a kind, for one cause.
    #[must_use]
    pub fn outcomes(&self, kind: &str, cause: CauseKind) -> Outcomes {
        let found = self.records.iter().find(|r| r.kind == kind && r.cause == cause);
        found.map(|r| r.outcomes).unwrap_or_default()
    }

    /// How often it helps against a cause that was named rightly: the posterior's mean, the prior's being
    /// `helps`.
    #[must_use]
    pub fn helps(&self, kind: &str, cause: CauseKind, helps: f64) -> f64 {
        let seen = self.outcomes(kind, cause);
        let no = NO_COUNTS * f64::from(seen.rejected);
        let trials = f64::from(seen.trials()) + no;
        (PRIOR_TRIALS * helps + f64::from(seen.helped)) / (PRIOR_TRIALS + trials)
    }

    /// The probability that an action helps of which `said` was said: corrected by how often the like of it
    /// came true.
    #[must_use]
    pub fn calibrated(&self, kind: &str, said: f64) -> f64 {
        let (none, own) = (Curve::default(), self.curves.get(kind));
        own.unwrap_or(&none).corrected_after(Lessons::shipped().curve(kind).unwrap_or(&none), said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_does_not_help_is_less_and_less_sure_to() {
        let mut learned = Learned::default();
        let cause = CauseKind::Overload;
        assert!((learned.helps("shed_load", cause, 0.9) - 0.9).abs() < 1e-9, "the rule's word, at first");
        let mut before = 0.9;
        for _ in 0..10 {
            learned.effect("shed_load", cause, EffectKind::Unchanged, before);
            let now = learned.helps("shed_load", cause, 0.9);
            assert!(now < before);
            before = now;
        }
        assert!((before - 0.6).abs() < 1e-9);
        assert!((learned.helps("shed_load", CauseKind::Service, 0.5) - 0.5).abs() < 1e-9, "causes apart");
        learned.effect("shed_load", cause, EffectKind::Unknown, 0.5);
        assert_eq!(learned.lessons(), 10, "what nobody saw teaches nothing");
    }

    #[test]
    fn a_persons_no_is_half_a_failure() {
        let mut learned = Learned::default();
        learned.answered("block_ips", CauseKind::AbusiveClients, false);
        learned.answered("block_ips", CauseKind::AbusiveClients, false);
        let helps = learned.helps("block_ips", CauseKind::AbusiveClients, 0.98);
        assert!((helps - 19.6 / 21.0).abs() < 1e-9, "{helps}");
    }
}
