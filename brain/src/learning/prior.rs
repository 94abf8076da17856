//! What the simulator has shown before the first real action: a new mesh starts careful, not ignorant.
//!
//! `prior.json`, written by `make prior`, holds outcome by outcome what came of remedies in seeded worlds: what the
//! rule had said, whether it helped, and the numbers that a model sees. Each kind and cause that was shown often
//! enough has a model of its own, each kind a reliability curve. How little they are worth beside outcomes of the
//! mesh itself is said where both are heard ([`super::opinion`], [`super::calibration`]).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::calibration::Curve;
use super::features::Features;
use super::model::{MIN_OUTCOMES, Model};
use crate::domain::CauseKind;

/// The file, as it was written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Prior {
    /// The command that writes it.
    pub(crate) made_by: String,
    /// The worlds' seeds begin here …
    pub(crate) first_seed: u64,
    /// … and are so many.
    pub(crate) worlds: u64,
    /// By kind of action and cause.
    pub(crate) shown: Vec<Shown>,
}

/// One kind of action against one kind of cause.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) kind: String,
    pub(crate) cause: CauseKind,
    /// In the order of their seeds.
    pub(crate) trials: Vec<Trial>,
}

/// What came of one action: the world's seed, what the rule said of the probability that it helps, whether it did,
/// and the numbers of its proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial(pub(crate) u64, pub(crate) f64, pub(crate) bool, pub(crate) Features);

impl Prior {
    /// What is compiled in. A file that cannot be read shows nothing; a test reads it.
    pub(crate) fn shipped() -> Self {
        serde_json::from_str(include_str!("prior.json")).unwrap_or_default()
    }
}

/// What can be asked of it.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    models: BTreeMap<String, BTreeMap<CauseKind, Model>>,
    curves: BTreeMap<String, Curve>,
}

static SHIPPED: LazyLock<Lessons> = LazyLock::new(|| Lessons::of(&Prior::shipped()));

impl Lessons {
    /// What the simulator's outcomes teach.
    pub(crate) fn of(prior: &Prior) -> Self {
        let mut lessons = Self::default();
        for shown in &prior.shown {
            let curve = lessons.curves.entry(shown.kind.clone()).or_default();
            shown.trials.iter().for_each(|Trial(_, said, helped, _)| curve.learn(*said, *helped));
            if shown.trials.len() >= MIN_OUTCOMES as usize {
                let model = Model::taught(shown.trials.iter().map(|Trial(.., helped, x)| (*x, *helped)));
                lessons.models.entry(shown.kind.clone()).or_default().insert(shown.cause, model);
            }
        }
        lessons
    }

    /// Those that are compiled in.
    pub(crate) fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// The simulator's model; `None` where it has shown too little.
    pub(crate) fn model(&self, kind: &str, cause: CauseKind) -> Option<&Model> {
        self.models.get(kind)?.get(&cause)
    }

    /// The causes against which it has shown enough of a kind.
    pub(super) fn causes(&self, kind: &str) -> impl Iterator<Item = CauseKind> {
        self.models.get(kind).into_iter().flatten().map(|(cause, _)| *cause)
    }

    /// What is worth what a rule says of a kind, by the simulator; empty where it has shown nothing.
    pub(crate) fn curve(&self, kind: &str) -> Option<&Curve> {
        self.curves.get(kind)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_in_can_be_read_and_says_where_it_comes_from() {
        let prior: Prior = serde_json::from_str(include_str!("prior.json")).unwrap();
        assert_eq!(prior.made_by, "make prior");
        let seeds = prior.first_seed..prior.first_seed + prior.worlds;
        let trials = || prior.shown.iter().flat_map(|shown| &shown.trials);
        assert!(trials().all(|Trial(seed, ..)| seeds.contains(seed)));
        assert!(trials().count() >= 200 && trials().count() as u64 <= prior.worlds);
        for kind in ["eject_endpoint", "set_weights", "shed_load", "block_ips"] {
            assert!(Lessons::shipped().causes(kind).next().is_some(), "nothing is shown of {kind}");
        }
    }
}
