//! How many more requests of the canary's a decision needs, if things stay as they are.

use super::contest::{Contest, Totals};
use super::hypergeometric::{Law, Split};
use super::odds::{Grid, Odds};
use super::settings::ErrorBounds;
use super::share::Share;

/// Bad requests that the imagined look must hold on the canary's side, and its size at least.
const IMAGINED_BAD: f64 = 20.0;
const IMAGINED: f64 = 1_000.0;
/// More stable requests than this per canary request tell nothing more.
const MOST_RATIO: f64 = 20.0;
/// Beyond this the forecast is "not in sight".
const MOST: f64 = 1e9;

/// What the sides are expected to do.
struct Expected {
    law: Law,
    requests: f64,
    least: f64,
    mean: f64,
}

impl Expected {
    /// An imagined look at the shares seen so far, the canary's odds being `odds` times the stable ones.
    fn new(totals: Totals, odds: f64) -> Option<Self> {
        if totals.canary == 0 || totals.stable == 0 {
            return None;
        }
        let share = (totals.stable_bad as f64 + 0.5) / (totals.stable as f64 + 1.0);
        let ratio = (totals.stable as f64 / totals.canary as f64).clamp(0.05, MOST_RATIO);
        let requests = IMAGINED.max(IMAGINED_BAD / share).min(1e6);
        let canary_share = odds * share / (1.0 - share + odds * share);
        let bad = requests * (canary_share + ratio * share);
        let (canary, stable) = (requests as u64, (requests * ratio) as u64);
        let split = Split { canary, canary_bad: 0, stable, stable_bad: (bad as u64).min(stable) };
        let law = Law::new(split);
        let (least, mean) = (law.observed(), law.at(odds.ln()).mean);
        Some(Self { law, requests, least, mean })
    }

    /// Expected log likelihood ratio of one value against another, per canary request.
    fn growth(&self, alternative: f64, null: f64) -> f64 {
        let base = self.law.at(alternative).log_probability - self.law.at(null).log_probability;
        (base + (self.mean - self.least) * (alternative - null)) / self.requests
    }
}

fn rounded(requests: f64) -> Option<u64> {
    (requests.is_finite() && requests < MOST).then_some(requests.max(1.0).ceil() as u64)
}

/// Requests until harm beyond `limit` (an odds ratio) is excluded with log evidence `target`.
pub(super) fn until_within(contest: &Contest, limit: f64, target: f64) -> Option<u64> {
    let (grid, odds): (&Grid, &Odds) = contest.parts();
    let values: Vec<f64> = grid.values().collect();
    let null = grid.at_most(limit);
    let truth = values.get(odds.likeliest())?.clamp(0.5, 1.0);
    let expected = Expected::new(contest.totals(), truth)?;
    let log_null = values.get(null)?.ln();
    let missing = odds.missing_by_value(null, target * contest.dispersion(), grid);
    let need = |(at, missing): (usize, f64)| {
        let growth = expected.growth(values.get(at)?.ln(), log_null);
        (growth > 1e-12).then_some((missing / growth).max(0.0))
    };
    rounded(missing.into_iter().filter_map(need).fold(f64::INFINITY, f64::min))
}

/// Requests until the canary is found worse than tolerated with log evidence `target`.
pub(super) fn until_worse(contest: &Contest, target: f64) -> Option<u64> {
    let (grid, odds) = contest.parts();
    let values: Vec<f64> = grid.values().collect();
    let truth = *values.get(odds.likeliest())?;
    let null = grid.tolerance();
    let expected = Expected::new(contest.totals(), truth)?;
    let growth = expected.growth(truth.ln(), values.get(null)?.ln()) / contest.dispersion();
    let above = odds.likeliest() > null && growth > 1e-12;
    above.then(|| (target - contest.log_e_worse()) / growth).and_then(rounded)
}

/// Requests until the canary's own share is below the limit, whatever stable does.
pub(super) fn until_share_within(
    share: &Share,
    contest: &Contest,
    bounds: &ErrorBounds,
    times: f64,
    target: f64,
) -> Option<u64> {
    let totals = contest.totals();
    let seen = (totals.canary_bad as f64).min(totals.canary as f64) / totals.canary.max(1) as f64;
    let growth = Share::growth_within(bounds, times, seen) / contest.dispersion();
    let missing = target - contest.temper(share.log_e_within(bounds, times));
    (growth > 1e-12).then_some(missing / growth).and_then(rounded)
}
