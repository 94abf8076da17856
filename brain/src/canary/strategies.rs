//! Ways to try a version that are not step by step.
//!
//! - Blue/green: all traffic at once, compared with what the stable version did in the seconds before (the
//!   weakest comparison there is: hours differ; so without a verdict it goes back). The stable version stays warm.
//! - A/B: one share, whose users the proxies keep there (sticky sessions); a read-out, no promotion.
//! - Mirror: copies of requests only, which a lease or the proxies' own routes send; no user is touched.

use super::approach::BRAIN;
use super::judge::Look;
use super::{Canary, Hold, HoldKind, Phase, Strategy};

/// The most seconds of the stable version alone that are kept to compare with.
const MAX_BEFORE: usize = 300;

impl Canary {
    /// Seconds of the stable version alone that a switch is compared with.
    pub(super) fn seconds_before(&self) -> usize {
        let warm_up_s = usize::try_from(self.spec.judge.warm_up_ms / 1_000).unwrap_or(0);
        (self.spec.min_bake_s as usize + warm_up_s).clamp(1, MAX_BEFORE)
    }

    /// Whether a switch comes next.
    pub(super) fn listens_now(&self) -> bool {
        self.spec.strategy == Strategy::BlueGreen && (self.phase == Phase::Pending || self.is_previewed())
    }

    /// Before a switch the stable version is listened to; the last seconds count.
    pub(super) fn listen(&mut self, look: &Look) {
        if self.before.len() >= self.seconds_before() {
            self.before.remove(0);
        }
        self.before.push(look.strata.clone());
    }

    /// Why a switch is too early.
    pub(super) fn listens(&self) -> Option<Hold> {
        let (heard, wanted) = (self.before.len(), self.seconds_before());
        let early = self.spec.strategy == Strategy::BlueGreen && heard < wanted;
        let why = format!("{} is listened to before the switch: {heard} of {wanted} s", self.spec.stable);
        early.then_some(Hold { kind: HoldKind::Bake, why })
    }

    /// After a switch each second is put beside one from before, each once.
    pub(super) fn beside_before(&mut self, mut look: Look) -> Look {
        let switched = self.spec.strategy == Strategy::BlueGreen && !self.is_previewed();
        if !switched || self.compared >= self.before.len() {
            return look;
        }
        let before = self.before.get(self.compared).cloned().unwrap_or_default();
        self.compared += 1;
        for stratum in &mut look.strata {
            if let Some(past) = before.iter().find(|past| past.stratum == stratum.stratum) {
                stratum.stable = past.stable.clone();
            }
        }
        look
    }

    /// How an A/B test or a comparison by copies ends.
    pub(super) fn finish(&mut self) {
        let totals = self.record.totals;
        let share = |bad: u64, all: u64| bad as f64 * 100.0 / all.max(1) as f64;
        let why = format!(
            "read-out: {:.2} % of {} requests failed at {}, {:.2} % of {} at {}; no harm was found",
            share(totals.canary_failed, totals.canary),
            totals.canary,
            self.spec.canary,
            share(totals.stable_failed, totals.stable),
            totals.stable,
            self.spec.stable
        );
        self.go(Phase::Finished, why, BRAIN);
    }
}
