//! From evidence to a decision.

use super::contest::Contest;
use super::evidence::{Evidence, MetricEvidence, Verdict, Why};
use super::mixture::log_sum;
use super::{Judge, forecast};

/// Share of the stake on errors; the rest is spread over latency, or over latency and business metrics.
const ON_ERRORS: f64 = 0.4;
const ON_LATENCY: f64 = 0.6;
const ON_LATENCY_BESIDE_BUSINESS: f64 = 0.4;
/// Of the stake on few errors, the share on few in comparison; the rest is on few at all.
const ON_ODDS: f64 = 0.7;
/// The e-value at which a metric holds promotion back.
const SUSPICIOUS: f64 = 20.0;
/// From this share of the traffic on the limits hold in full.
const FULL_EXPOSURE: f64 = 50.0;
/// Error probability of the bounds that are shown.
const ALPHA: f64 = 0.05;

/// How much wider the limits are while the canary is to get only `percent` of the traffic: little exposure
/// bears little evidence, and the other way round.
fn leniency(percent: f64) -> f64 {
    (FULL_EXPOSURE / percent.clamp(0.5, 100.0)).max(1.0)
}

impl Judge {
    /// The decision on promotion.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict_for(100.0)
    }

    /// The decision on giving the canary `percent` of the traffic next.
    #[must_use]
    pub fn verdict_for(&self, percent: f64) -> Verdict {
        if let Some(why) = &self.bad {
            return Verdict::Bad { why: why.clone() };
        }
        if self.is_good_for(percent) {
            return Verdict::Good;
        }
        Verdict::Undecided { needs_requests: self.needs(leniency(percent)) }
    }

    /// Whether the canary must go; once found, it stays so.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.bad.is_some()
    }

    /// Whether harm is excluded, as far as `percent` of the traffic asks for.
    #[must_use]
    pub fn is_good_for(&self, percent: f64) -> bool {
        let (times, enough) = (leniency(percent), self.settings.promote_e.ln());
        let calm = |log_e: f64| log_e < SUSPICIOUS.ln();
        let errors = calm(self.errors_log_e()) && self.errors_within(times) >= enough;
        let slow = |tail: &super::tail::Tail| {
            calm(tail.tolerated.log_e_worse()) && tail.limited.log_e_within(times) >= enough
        };
        let business = |metric: &super::business::Business| {
            calm(metric.log_e_worse()) && (!metric.metric.required || metric.log_e_within() >= enough)
        };
        let warm = !self.times.warming_up && self.bad.is_none();
        warm && errors && self.tails.iter().all(slow) && self.business.iter().all(business)
    }

    /// Both must speak: more than stable's, and more than a trifle.
    fn errors_log_e(&self) -> f64 {
        self.errors.log_e_worse().min(self.errors.temper(self.share.log_e_worse()))
    }

    fn errors_within(&self, times: f64) -> f64 {
        let bounds = &self.settings.errors;
        let odds = self.errors.log_e_within(1.0 + (bounds.limit.odds - 1.0) * times);
        let share = self.errors.temper(self.share.log_e_within(bounds, times));
        log_sum([ON_ODDS.ln() + odds, (1.0 - ON_ODDS).ln() + share])
    }

    /// Every metric's name, share of the stake and log e-value against the canary.
    fn metrics(&self) -> Vec<(String, f64, f64)> {
        let mut found = vec![("errors".to_owned(), ON_ERRORS, self.errors_log_e())];
        let on_latency = if self.business.is_empty() { ON_LATENCY } else { ON_LATENCY_BESIDE_BUSINESS };
        let each = on_latency / self.tails.len().max(1) as f64;
        found.extend(self.tails.iter().map(|tail| (tail.name(), each, tail.tolerated.log_e_worse())));
        let each = (1.0 - ON_ERRORS - on_latency) / self.business.len().max(1) as f64;
        found.extend(
            self.business.iter().map(|b| (format!("business:{}", b.metric.name), each, b.log_e_worse())),
        );
        found
    }

    fn log_e_bad(&self) -> f64 {
        log_sum(self.metrics().iter().map(|(_, stake, log_e)| stake.ln() + log_e))
    }

    /// Remembers the first reason for which the canary must go; every look may find it.
    pub(super) fn condemn(&mut self, why: Why) {
        self.bad.get_or_insert(why);
    }

    /// Looks whether the evidence suffices.
    pub(super) fn decide(&mut self, at_ms: i64) {
        if self.bad.is_some() || self.log_e_bad() < self.settings.rollback_e.ln() {
            return;
        }
        let loudest = self.metrics().into_iter().max_by(|a, b| (a.1.ln() + a.2).total_cmp(&(b.1.ln() + b.2)));
        let Some((metric, _, log_e)) = loudest else { return };
        let text = self.sentence(&metric, log_e);
        self.condemn(Why { metric, text, hard: false, at_ms });
    }

    fn sentence(&self, metric: &str, log_e: f64) -> String {
        let e = log_e.min(300.0).exp();
        if let Some(business) = self.business.iter().find(|b| metric == format!("business:{}", b.metric.name))
        {
            let (n, worse) = business.readings();
            return format!("{metric}: worse than tolerated in {worse} of {n} readings (e-value {e:.0})");
        }
        let (contest, what) = match self.tails.iter().find(|tail| tail.name() == metric) {
            Some(tail) => (&tail.tolerated, "slower than tolerated"),
            None => (&self.errors, "failed"),
        };
        let (totals, odds) = (contest.totals(), contest.interval(ALPHA));
        let share = |bad: u64, n: u64| 100.0 * bad as f64 / n.max(1) as f64;
        let route = match contest.worst_stratum() {
            Some((name, alone)) if alone > 20f64.ln() => format!(", most clearly on route {name}"),
            _ => String::new(),
        };
        format!(
            "{metric}: {:.2} % of the canary's {} requests {what}, {:.2} % of stable's in the same seconds{route}; odds at \
             least {:.2} times stable's (e-value {e:.0})",
            share(totals.canary_bad, totals.canary),
            totals.canary,
            share(totals.stable_bad, totals.stable),
            odds.low,
        )
    }

    /// About how many more requests of the canary's until a decision.
    fn needs(&self, times: f64) -> Option<u64> {
        let sooner_bad = self.until_bad();
        let good = self.until_good(times);
        match (sooner_bad, good) {
            (Some(bad), Some(good)) => Some(bad.min(good)),
            (bad, good) => bad.or(good),
        }
    }

    fn until_bad(&self) -> Option<u64> {
        let target = (self.settings.rollback_e / ON_ERRORS).ln();
        let contests = self.tails.iter().map(|tail| &tail.tolerated).chain([&self.errors]);
        contests.filter_map(|contest| forecast::until_worse(contest, target)).min()
    }

    fn until_good(&self, times: f64) -> Option<u64> {
        let tails = self.tails.iter().map(|tail| self.needs_of(&tail.limited, times));
        let each: Option<Vec<u64>> = tails.chain([self.errors_need(times)]).collect();
        each.and_then(|needs| needs.into_iter().max())
    }

    fn needs_of(&self, contest: &Contest, limit: f64) -> Option<u64> {
        let enough = self.settings.promote_e.ln();
        if contest.log_e_within(limit) >= enough {
            return Some(0);
        }
        forecast::until_within(contest, limit, enough)
    }

    fn errors_need(&self, times: f64) -> Option<u64> {
        let (enough, bounds) = (self.settings.promote_e.ln(), &self.settings.errors);
        if self.errors_within(times) >= enough {
            return Some(0);
        }
        let limit = 1.0 + (bounds.limit.odds - 1.0) * times;
        let odds = forecast::until_within(&self.errors, limit, enough - ON_ODDS.ln());
        let target = enough - (1.0 - ON_ODDS).ln();
        let share = forecast::until_share_within(&self.share, &self.errors, bounds, times, target);
        match (odds, share) {
            (Some(odds), Some(share)) => Some(odds.min(share)),
            (odds, share) => odds.or(share),
        }
    }

    /// All numbers, with the forecast for a promotion.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let totals = self.errors.totals();
        let mut metrics = vec![MetricEvidence {
            needs_requests: self.errors_need(1.0),
            ..of_contest("errors".to_owned(), &self.errors, self.errors_log_e(), self.errors_within(1.0))
        }];
        metrics.extend(self.tails.iter().map(|tail| {
            let good = tail.limited.log_e_within(1.0);
            let shown = of_contest(tail.name(), &tail.tolerated, tail.tolerated.log_e_worse(), good);
            MetricEvidence { needs_requests: self.needs_of(&tail.limited, 1.0), ..shown }
        }));
        metrics.extend(self.business.iter().map(of_business));
        Evidence {
            at_ms: self.times.last_ms.unwrap_or(0),
            looks: self.looks,
            canary_requests: totals.canary,
            stable_requests: totals.stable,
            warming_up: self.times.warming_up,
            log_e_bad: self.log_e_bad(),
            metrics,
        }
    }
}

fn of_contest(metric: String, contest: &Contest, log_e_bad: f64, log_e_good: f64) -> MetricEvidence {
    let totals = contest.totals();
    MetricEvidence {
        metric,
        log_e_bad,
        log_e_good,
        odds: Some(contest.interval(ALPHA)),
        canary: (totals.canary_bad, totals.canary),
        stable: (totals.stable_bad, totals.stable),
        dispersion: contest.dispersion(),
        worst_stratum: contest.worst_stratum().map(|(name, log_e)| (name.to_owned(), log_e)),
        needs_requests: None,
    }
}

fn of_business(business: &super::business::Business) -> MetricEvidence {
    let (n, worse) = business.readings();
    MetricEvidence {
        metric: format!("business:{}", business.metric.name),
        log_e_bad: business.log_e_worse(),
        log_e_good: business.log_e_within(),
        odds: None,
        canary: (worse, n),
        stable: (0, n),
        dispersion: 1.0,
        worst_stratum: None,
        needs_requests: None,
    }
}
