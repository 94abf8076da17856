//! The three judges on one stream: ours, a threshold judge as Flagger has it, a Mann-Whitney judge as Kayenta has it.

use brain::canary::judge::{Counts, Judge, JudgeSettings, Look, StratumCounts};
use protocol::latency::Latency;

use crate::kayenta::Kayenta;
use crate::world::{Second, Side, World};

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Rolled back.
    RolledBack,
    /// Promoted.
    Promoted,
    /// Neither, until the end.
    Undecided,
}

/// The end of a rollout: how, after how many seconds and requests of the canary's.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// Seconds since its first request.
    pub at_s: u64,
    /// Requests it had answered.
    pub requests: u64,
}

/// A judge that is shown every second.
pub trait Judging {
    /// Looks, and decides or not.
    fn look(&mut self, second: &Second) -> Option<Outcome>;
}

/// Ours, every second.
pub struct Ours(Judge, u64);

impl Ours {
    /// With the settings that are shipped, and a minimum bake.
    pub fn new(bake_s: u64) -> Self {
        Self(Judge::new(&JudgeSettings::default()), bake_s)
    }
}

fn counts(side: &Side) -> Counts {
    let latency = Latency { buckets: side.buckets.clone(), ..Latency::default() };
    Counts { requests: side.attempts, failures: side.failed, hard_failures: side.refused, latency }
}

impl Judging for Ours {
    fn look(&mut self, second: &Second) -> Option<Outcome> {
        if second.stepped {
            self.0.begin_step();
        }
        let route = |(name, stable, canary): &(&str, Side, Side)| StratumCounts {
            stratum: (*name).to_owned(),
            stable: counts(stable),
            canary: counts(canary),
        };
        self.0.observe(&Look {
            at_ms: second.at_s as i64 * 1_000,
            strata: second.routes.iter().map(route).collect(),
            canary_endpoints: second.endpoints,
            restarts: second.restarts,
            ..Look::default()
        });
        if second.at_s >= self.1 && self.0.is_good_for(100.0) {
            return Some(Outcome::Promoted);
        }
        self.0.is_bad().then_some(Outcome::RolledBack)
    }
}

/// Every minute: a success rate of 99 % and a p99 below a limit, over the last minute of the canary alone. Five
/// checks that fail roll back, ten that were made promote (<https://docs.flagger.app/usage/metrics>).
pub struct Flagger {
    p99_limit: i32,
    requests: u64,
    failed: u64,
    slow: u64,
    checks: u32,
    wrong: u32,
}

impl Flagger {
    /// With a p99 limit half above what the service takes in quiet weather: a well set limit.
    pub fn new(world: &World) -> Self {
        let p99_us = 45_000.0 * (2.1 * world.sigma).exp() * 1.5;
        let p99_limit = (f64::ln(p99_us) / 1.02f64.ln()).ceil() as i32;
        Self { p99_limit, requests: 0, failed: 0, slow: 0, checks: 0, wrong: 0 }
    }
}

impl Judging for Flagger {
    fn look(&mut self, second: &Second) -> Option<Outcome> {
        for (_, _, canary) in &second.routes {
            self.requests += canary.attempts;
            self.failed += canary.failed;
            let slow = canary.buckets.iter().filter(|(index, _)| *index > self.p99_limit);
            self.slow += slow.map(|(_, n)| n).sum::<u64>();
        }
        if !second.at_s.is_multiple_of(60) {
            return None;
        }
        let one_percent = |bad: u64| bad * 100 > self.requests;
        self.wrong += u32::from(one_percent(self.failed) || one_percent(self.slow));
        self.checks += 1;
        (self.requests, self.failed, self.slow) = (0, 0, 0);
        if self.wrong >= 5 {
            return Some(Outcome::RolledBack);
        }
        (self.checks >= 10).then_some(Outcome::Promoted)
    }
}

/// Runs all three over one rollout; ours first.
pub fn judge(world: &World, horizon_s: u64, mut next: impl FnMut() -> Second) -> [End; 3] {
    let mut judges: [Box<dyn Judging>; 3] =
        [Box::new(Ours::new(world.bake_s)), Box::new(Flagger::new(world)), Box::new(Kayenta::new())];
    let mut ends: [Option<End>; 3] = [None; 3];
    let (mut requests, mut at_s) = (0, 0);
    while at_s < horizon_s && ends.iter().any(Option::is_none) {
        let second = next();
        at_s = second.at_s;
        requests += second.routes.iter().map(|(_, _, canary)| canary.attempts).sum::<u64>();
        for (judge, end) in judges.iter_mut().zip(&mut ends).filter(|(_, end)| end.is_none()) {
            *end = judge.look(&second).map(|outcome| End { outcome, at_s, requests });
        }
    }
    ends.map(|end| end.unwrap_or(End { outcome: Outcome::Undecided, at_s, requests }))
}
