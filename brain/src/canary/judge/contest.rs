//! One metric, canary against stable in the same seconds: all strata together, and each alone.
//!
//! Together they find what is a little worse everywhere, alone what is much worse on one route. Each
//! stratum holds a stake of its own, given when it is first seen, so the mean stays an e-process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hypergeometric::Split;
use super::mixture::{Mixture, Onset, log_sum};
use super::odds::{Grid, Interval, Odds, Reading};

/// Sums of all looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) canary: u64,
    pub(super) canary_bad: u64,
    pub(super) stable: u64,
    pub(super) stable_bad: u64,
}

impl Totals {
    fn add(&mut self, split: Split) {
        self.canary = self.canary.saturating_add(split.canary);
        self.canary_bad = self.canary_bad.saturating_add(split.canary_bad);
        self.stable = self.stable.saturating_add(split.stable);
        self.stable_bad = self.stable_bad.saturating_add(split.stable_bad);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stratum {
    stake: f64,
    worse: Mixture,
}

/// The contest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Contest {
    grid: Grid,
    all: Odds,
    strata: BTreeMap<String, Stratum>,
    /// What no stratum holds yet.
    unstaked: f64,
    /// Whether strata are looked at one by one, too.
    alone: bool,
    totals: Totals,
}

impl Contest {
    /// With the odds ratio up to which the canary counts as equal, and the one to be excluded.
    pub(super) fn new(tolerance: f64, limit: f64) -> Self {
        let grid = Grid::new(tolerance, limit);
        let all = Odds::new(&grid);
        Self { grid, all, strata: BTreeMap::new(), unstaked: 1.0, alone: true, totals: Totals::default() }
    }

    /// Of which only is asked whether harm is excluded: a coarse grid, and no stratum by itself.
    pub(super) fn excluding(limit: f64) -> Self {
        let grid = Grid::coarse(limit);
        let all = Odds::new(&grid);
        Self { grid, all, strata: BTreeMap::new(), unstaked: 1.0, alone: false, totals: Totals::default() }
    }

    /// Takes one look's splits in, by stratum, in the order of their names.
    pub(super) fn take(&mut self, splits: &[(&str, Split)]) {
        let new = splits.iter().filter(|(name, s)| s.tells() && !self.strata.contains_key(*name)).count();
        let stake = self.unstaked / 2.0 / new.max(1) as f64;
        for (name, split) in splits {
            self.totals.add(*split);
            let Some(reading) = Reading::of(*split, &self.grid) else { continue };
            self.all.take(&reading, &self.grid);
            if !self.alone {
                continue;
            }
            let ratios = reading.against_tolerance(&self.grid);
            if let Some(stratum) = self.strata.get_mut(*name) {
                stratum.worse.gain(ratios);
                continue;
            }
            let mut worse = Mixture::over(self.grid.above_tolerance());
            worse.gain(ratios);
            self.unstaked -= stake;
            self.strata.insert((*name).to_owned(), Stratum { stake, worse });
        }
        self.all.end_look();
    }

    /// Lays part of the bets anew.
    pub(super) fn lay(&mut self, onset: Onset) {
        self.all.lay(onset);
        self.strata.values_mut().for_each(|s| s.worse.lay(onset));
    }

    /// Log e-value against "no worse than tolerated".
    pub(super) fn log_e_worse(&self) -> f64 {
        let half = 0.5f64.ln();
        let alone = self.strata.values().map(|s| half + s.stake.ln() + s.worse.log_e());
        let rest = half + self.unstaked.max(1e-300).ln();
        let log_e = log_sum(alone.chain([rest, half + self.all.log_e_worse()]));
        self.temper(log_e)
    }

    /// Log e-value against "worse than `limit` allows", an odds ratio.
    pub(super) fn log_e_within(&self, limit: f64) -> f64 {
        self.temper(self.all.log_e_within(&self.grid, self.grid.at_most(limit)))
    }

    /// Evidence, discounted for clumps.
    pub(super) fn temper(&self, log_e: f64) -> f64 {
        if log_e > 0.0 { log_e / self.all.dispersion() } else { log_e }
    }

    /// The stratum that speaks loudest against the canary, and its log e-value.
    pub(super) fn worst_stratum(&self) -> Option<(&str, f64)> {
        let each = self.strata.iter().map(|(name, s)| (name.as_str(), self.temper(s.worse.log_e())));
        each.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Anytime-valid bounds of the odds ratio.
    pub(super) fn interval(&self, alpha: f64) -> Interval {
        self.all.interval(&self.grid, alpha)
    }

    /// How clumped the bad requests are.
    pub(super) fn dispersion(&self) -> f64 {
        self.all.dispersion()
    }

    /// Sums of all looks.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The grid's odds ratios, and the evidence they hold.
    pub(super) fn parts(&self) -> (&Grid, &Odds) {
        (&self.grid, &self.all)
    }
}
