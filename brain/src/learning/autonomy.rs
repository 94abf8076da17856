//! Earned autonomy: the record of a kind as a Beta posterior, and whether its lower bound is high enough.

use std::collections::BTreeSet;

use statrs::distribution::{Beta, ContinuousCDF as _};

use super::model::Model;
use super::prior::Lessons;
use super::{Learned, MIN_OUTCOMES, Outcomes, SIMULATOR_COUNTS};
use crate::domain::{AutonomyRow, Bin, CauseKind, Mode, ModelRow, SimulatedRow};
use crate::policies::{AutonomyPolicy, GuardPolicy, KindMode};

/// What a person's yes and no count beside a measured effect.
const YES_COUNTS: f64 = 0.5;
const NO_COUNTS: f64 = 1.0;

/// What a kind has shown since it last did harm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earned {
    /// Effects measured.
    pub trials: u32,
    /// With this probability (`autonomy.sure`) it helps at least so often.
    pub lower_bound: f64,
    /// Whether that is enough.
    pub enough: bool,
}

impl Learned {
    /// Whether a kind has earned to act alone.
    #[must_use]
    pub fn earned(&self, kind: &str, policy: &AutonomyPolicy) -> Earned {
        let shown = self.since_harm.get(kind).copied().unwrap_or_default();
        let lower_bound = lower_bound(&shown, policy.sure);
        let trials = shown.trials();
        let enough = trials >= policy.min_trials && lower_bound >= policy.promote_at;
        Earned { trials, lower_bound, enough }
    }

    /// What the models of a kind were taught, here and by the simulator, and how far what they said here lay from
    /// what came true.
    fn model_rows(&self, kind: &str) -> Vec<ModelRow> {
        let (here, lessons) = (self.models.get(kind), Lessons::shipped());
        let mut causes: BTreeSet<CauseKind> = lessons.causes(kind).collect();
        causes.extend(here.into_iter().flatten().map(|(cause, _)| *cause));
        let row = |cause: CauseKind| {
            let own = here.and_then(|here| here.get(&cause));
            let outcomes = own.map_or(0, Model::outcomes);
            let simulated = lessons.model(kind, cause).map(|model| SimulatedRow {
                outcomes: model.outcomes(),
                helped: model.helped(),
                worth: SIMULATOR_COUNTS,
            });
            ModelRow {
                cause,
                outcomes,
                speaks: outcomes >= MIN_OUTCOMES || simulated.is_some(),
                calibration_error: own.map_or(0.0, |model| model.curve.error()),
                simulated,
            }
        };
        causes.into_iter().map(row).collect()
    }

    fn total(&self, kind: &str) -> Outcomes {
        let mut total = Outcomes::default();
        self.records.iter().filter(|r| r.kind == kind).for_each(|r| total.add(&r.outcomes));
        total
    }
}

/// With probability `sure` it helps at least so often: a quantile of Beta(1/2 + yes, 1/2 + no) (Jeffreys).
fn lower_bound(shown: &Outcomes, sure: f64) -> f64 {
    let yes = f64::from(shown.helped) + YES_COUNTS * f64::from(shown.approved);
    let no = f64::from(shown.unchanged.saturating_add(shown.harmed)) + NO_COUNTS * f64::from(shown.rejected);
    Beta::new(0.5 + yes, 0.5 + no).map_or(0.0, |beta| beta.inverse_cdf(1.0 - sure))
}

/// Every kind that may do something or has a record, with `mode_of` telling what it may do now.
#[must_use]
pub fn rows(
    learned: &Learned,
    policy: &GuardPolicy,
    now_ms: i64,
    mode_of: impl Fn(&str) -> Mode,
) -> Vec<AutonomyRow> {
    let demoted = learned.demoted(now_ms);
    let row = |kind: &String| {
        let (total, earned) = (learned.total(kind), learned.earned(kind, &policy.autonomy));
        let needed = &policy.autonomy;
        let own = policy.kind(kind).mode;
        let has_earned = own != KindMode::Earn || earned.enough;
        let record = format!(
            "{} trials since harm ({} needed), helps at least {:.2} ({:.2} needed)",
            earned.trials, needed.min_trials, earned.lower_bound, needed.promote_at
        );
        let why = match demoted.get(kind) {
            Some(until) => format!("it did harm: only advises for {} s more", (until - now_ms) / 1_000),
            None => match own {
                KindMode::Earn if earned.enough => format!("earned: {record}"),
                KindMode::Earn => format!("not earned yet: {record}"),
                KindMode::Auto => "guard.yaml lets it act".to_owned(),
                KindMode::Advise => "guard.yaml lets it advise".to_owned(),
                KindMode::Observe => "guard.yaml lets it observe".to_owned(),
            },
        };
        let curve = learned.curves.get(kind).cloned().unwrap_or_default();
        let bin = |b: &super::calibration::Sums| {
            let n = f64::from(b.n);
            Bin { said: b.said / n, came_true: b.came_true / n, trials: b.n }
        };
        AutonomyRow {
            kind: kind.clone(),
            mode: if has_earned { mode_of(kind) } else { mode_of(kind).min(Mode::Advisory) },
            why,
            trials: total.trials(),
            helped: total.helped,
            unchanged: total.unchanged,
            harmed: total.harmed,
            approved: total.approved,
            rejected: total.rejected,
            lower_bound: earned.lower_bound,
            calibration_error: curve.error(),
            curve: curve.bins.iter().filter(|b| b.n > 0).map(bin).collect(),
            models: learned.model_rows(kind),
        }
    };
    policy.kinds.keys().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EffectKind;

    #[test]
    fn autonomy_is_earned_by_a_record_and_lost_at_once_by_harm() {
        let (mut learned, policy) = (Learned::default(), AutonomyPolicy::default());
        let cause = CauseKind::BadEndpoint;
        let helps = |learned: &mut Learned, n: u32| {
            (0..n).for_each(|_| learned.effect("eject_endpoint", cause, EffectKind::Helped, 0.95));
        };
        assert!(!learned.earned("eject_endpoint", &policy).enough);
        helps(&mut learned, 9);
        assert!(!learned.earned("eject_endpoint", &policy).enough, "too few");
        helps(&mut learned, 11);
        let earned = learned.earned("eject_endpoint", &policy);
        assert!(earned.enough, "{earned:?}");
        learned.effect("eject_endpoint", cause, EffectKind::Harmed, 0.95);
        assert_eq!(learned.earned("eject_endpoint", &policy).trials, 0);
        assert!(!learned.earned("eject_endpoint", &policy).enough);
        assert_eq!(learned.total("eject_endpoint").trials(), 21, "nothing is forgotten");
    }

    #[test]
    fn people_who_say_no_take_it_away() {
        let (mut learned, policy) = (Learned::default(), AutonomyPolicy::default());
        (0..30).for_each(|_| learned.effect("shed_load", CauseKind::Overload, EffectKind::Helped, 0.9));
        assert!(learned.earned("shed_load", &policy).enough);
        (0..5).for_each(|_| learned.answered("shed_load", CauseKind::Overload, false));
        assert!(!learned.earned("shed_load", &policy).enough, "{:?}", learned.earned("shed_load", &policy));
    }
}
