//! A service with a canary, second by second. Shares no code and no idea with the judge: requests fail and take
//! their time one by one, and what disturbs them is told in the words of operations.

use rand::RngExt;
use rand_distr::{Distribution, Poisson, StandardNormal};

use crate::Dice;

/// Ratio of neighbouring latency buckets, as telemetry has it.
const GAMMA: f64 = 1.02;
const ROUTES: [Route; 2] = [
    Route { name: "browse", share: 0.7, median_us: 18_000.0, errors: 0.8 },
    Route { name: "buy", share: 0.3, median_us: 45_000.0, errors: 1.47 },
];

struct Route {
    name: &'static str,
    share: f64,
    median_us: f64,
    /// Times the service's share of errors.
    errors: f64,
}

/// What a rollout is like. The default is a healthy canary in quiet weather.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Requests a second, both versions.
    pub rps: f64,
    /// The canary's share of them.
    pub weight: f64,
    /// A second step: when, and the share from then on.
    pub step: Option<(u64, f64)>,
    /// The service's share of failed requests.
    pub errors: f64,
    /// Failures come in clumps of so many on average, each on one side.
    pub clump: f64,
    /// Spread of the log latency.
    pub sigma: f64,
    /// Standard deviation of the wandering log share of errors, of the wandering log latency, and the variation of the rate.
    pub drift: (f64, f64, f64),
    /// Seconds between shared troubles of ten seconds (a fifth of all fails, everything twice as slow); 0 is never.
    pub trouble_every_s: f64,
    /// The canary's host differs by chance: standard deviations of log latency and log odds of errors.
    pub host: (f64, f64),
    /// The canary's own wandering log latency: standard deviation.
    pub own_drift: f64,
    /// Cold start: so much slower at first, fading in so many seconds.
    pub cold: (f64, f64),
    /// Between so many seconds, the canary's routes move from the service's mix to mostly `buy`.
    pub mix_shift: Option<(u64, u64)>,
    /// Every host stops for a second every so many; 0 is never. The canary is one host, stable are many.
    pub pause_every_s: f64,
    /// No judge promotes before.
    pub bake_s: u64,
    /// New endpoints join so long after a step; until then the canary queues, then they are cold.
    pub scaling_s: Option<u64>,
    /// Every failure is tried once more, on either side by weight, and load makes all slower.
    pub retries: bool,
    /// What is wrong with the canary.
    pub fault: Fault,
    /// From when on.
    pub fault_from_s: u64,
}

/// What is wrong with a canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This share of requests fails instead.
    Errors(f64),
    /// This share fails on one route.
    RouteErrors(f64),
    /// So many times as slow.
    Slower(f64),
    /// This share of requests is five times as slow.
    Tail(f64),
    /// Slower and slower: times per 100 s.
    Leak(f64),
    /// Refuses connections.
    Down,
    /// Dies and is restarted every 15 s, failing a tenth of the requests.
    CrashLoop,
}

impl Default for World {
    fn default() -> Self {
        Self {
            rps: 200.0,
            weight: 0.05,
            step: None,
            errors: 0.005,
            clump: 1.0,
            sigma: 0.5,
            drift: (0.0, 0.0, 0.0),
            trouble_every_s: 0.0,
            host: (0.0, 0.0),
            own_drift: 0.0,
            cold: (0.0, 1.0),
            mix_shift: None,
            pause_every_s: 0.0,
            bake_s: 0,
            scaling_s: None,
            retries: false,
            fault: Fault::None,
            fault_from_s: 0,
        }
    }
}

/// One side of one route in one second.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// Attempts.
    pub attempts: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them without a response.
    pub refused: u64,
    /// Responses by latency bucket, rising.
    pub buckets: Vec<(i32, u64)>,
}

/// One second.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Seconds since the canary got its first request.
    pub at_s: u64,
    /// By route: name, stable, canary.
    pub routes: Vec<(&'static str, Side, Side)>,
    /// The canary's endpoints.
    pub endpoints: u32,
    /// Restarts of the canary so far.
    pub restarts: u32,
    /// Whether its weight rose in this second.
    pub stepped: bool,
}

/// A rollout under way.
pub struct Rollout<'a> {
    world: &'a World,
    dice: Dice,
    at_s: u64,
    errors: f64,
    latency: f64,
    own: f64,
    host: (f64, f64),
    trouble_until_s: u64,
    paused: bool,
    /// Failures of the last second that are tried again, by route.
    again: [u64; 2],
}

fn normal(dice: &mut Dice) -> f64 {
    StandardNormal.sample(dice)
}

fn poisson(mean: f64, dice: &mut Dice) -> u64 {
    Poisson::new(mean).map_or(0, |law| law.sample(dice) as u64)
}

/// One step of a stationary wandering with standard deviation `sd` and correlation time `tau_s`.
fn wander(value: f64, sd: f64, tau_s: f64, dice: &mut Dice) -> f64 {
    let keep = (-1.0 / tau_s).exp();
    keep * value + sd * (1.0 - keep * keep).sqrt() * normal(dice)
}

impl<'a> Rollout<'a> {
    /// Begins.
    pub fn new(world: &'a World, mut dice: Dice) -> Self {
        let (errors, latency) = (world.drift.0 * normal(&mut dice), world.drift.1 * normal(&mut dice));
        let own = world.own_drift * normal(&mut dice);
        let host = (world.host.0 * normal(&mut dice), world.host.1 * normal(&mut dice));
        Self {
            world,
            dice,
            at_s: 0,
            errors,
            latency,
            own,
            host,
            trouble_until_s: 0,
            paused: false,
            again: [0, 0],
        }
    }

    fn weight(&self) -> f64 {
        match self.world.step {
            Some((at, weight)) if self.at_s >= at => weight,
            _ => self.world.weight,
        }
    }

    fn weather(&mut self) -> (f64, f64, f64) {
        let (errors, latency, rate) = self.world.drift;
        self.errors = wander(self.errors, errors, 120.0, &mut self.dice);
        self.latency = wander(self.latency, latency, 120.0, &mut self.dice);
        self.own = wander(self.own, self.world.own_drift, 60.0, &mut self.dice);
        let every = self.world.trouble_every_s;
        if every > 0.0 && self.at_s >= self.trouble_until_s && self.dice.random::<f64>() < 1.0 / every {
            self.trouble_until_s = self.at_s + 10;
        }
        let rate = (rate * normal(&mut self.dice) - rate * rate / 2.0).exp();
        let twice = if self.at_s < self.trouble_until_s { 2.0 } else { 1.0 };
        (self.errors.exp(), self.latency.exp() * twice, rate)
    }

    /// The next second.
    pub fn second(&mut self) -> Second {
        self.at_s += 1;
        let (errors, latency, rate) = self.weather();
        let weight = self.weight();
        let again = std::mem::take(&mut self.again);
        let every = self.world.pause_every_s;
        self.paused = every > 0.0 && self.dice.random::<f64>() < 1.0 / every;
        let load = 1.0 + 3.0 * again.iter().sum::<u64>() as f64 / self.world.rps;
        let mut routes = Vec::with_capacity(ROUTES.len());
        for (at, route) in ROUTES.iter().enumerate() {
            let rps = self.world.rps * route.share * rate + again[at] as f64;
            let canary_rps = rps * weight * self.mix(at);
            let share = (self.world.errors * route.errors * errors).min(0.9);
            let stable = self.side(route, rps * (1.0 - weight), share, latency * load, None);
            let canary = self.side(route, canary_rps, share, latency * load, Some(at));
            if self.world.retries {
                self.again[at] = stable.failed + canary.failed;
            }
            routes.push((route.name, stable, canary));
        }
        let stepped = self.world.step.is_some_and(|(at, _)| at == self.at_s);
        let restarts = if self.world.fault == Fault::CrashLoop { (self.at_s / 15) as u32 } else { 0 };
        Second { at_s: self.at_s, routes, endpoints: self.endpoints(), restarts, stepped }
    }

    /// What the canary gets of a route over what its weight says.
    fn mix(&self, route: usize) -> f64 {
        let Some((from, to)) = self.world.mix_shift else { return 1.0 };
        let moved = (self.at_s.saturating_sub(from) as f64 / (to - from).max(1) as f64).min(1.0);
        if route == 0 { 1.0 - 0.7 * moved } else { 1.0 + 1.6 * moved }
    }

    fn endpoints(&self) -> u32 {
        match (self.world.step, self.world.scaling_s) {
            (Some((at, _)), Some(after)) if self.at_s >= at + after => 4,
            _ => 1,
        }
    }

    fn side(&mut self, route: &Route, rps: f64, share: f64, latency: f64, canary: Option<usize>) -> Side {
        let n = poisson(rps, &mut self.dice);
        let fault = if self.at_s >= self.world.fault_from_s { self.world.fault } else { Fault::None };
        let (mut share, mut latency, mut tail) = (share, latency, 0.0);
        if self.at_s < self.trouble_until_s {
            share = (share + 0.2).min(0.9);
        }
        if self.world.pause_every_s > 0.0 {
            tail = match canary {
                Some(_) if self.paused => 1.0,
                Some(_) => 0.0,
                None => 1.0 / self.world.pause_every_s,
            };
        }
        if let Some(at) = canary {
            share *= self.host.1.exp();
            latency *= self.canary_slowness();
            match fault {
                Fault::Errors(wrong) if self.world.errors > 0.0 => share *= wrong / self.world.errors,
                Fault::Errors(wrong) => share = wrong,
                Fault::RouteErrors(wrong) if at == 1 => share = wrong,
                Fault::Slower(times) => latency *= times,
                Fault::Tail(part) => tail = part,
                Fault::Leak(times) => {
                    latency *= times.powf((self.at_s - self.world.fault_from_s) as f64 / 100.0)
                }
                Fault::CrashLoop => share += 0.1,
                _ => {}
            }
            if fault == Fault::Down {
                return Side { attempts: n, failed: n, refused: n, buckets: Vec::new() };
            }
        }
        let failed = self.failures(n, share.min(0.95));
        let buckets = self.latencies(n, route.median_us * latency, tail);
        Side { attempts: n, failed, refused: 0, buckets }
    }

    fn canary_slowness(&self) -> f64 {
        let (much, fading_s) = self.world.cold;
        let mut slow = (1.0 + much * (-(self.at_s as f64) / fading_s).exp()) * (self.host.0 + self.own).exp();
        if let (Some((at, _)), Some(after)) = (self.world.step, self.world.scaling_s) {
            let since = self.at_s.saturating_sub(at);
            if self.at_s >= at && since < after {
                slow *= 1.6;
            } else if self.at_s >= at {
                slow *= 1.0 + 0.8 * (-((since - after) as f64) / 8.0).exp();
            }
        }
        slow
    }

    fn failures(&mut self, n: u64, share: f64) -> u64 {
        let clump = self.world.clump;
        if clump <= 1.0 {
            return (0..n).filter(|_| self.dice.random::<f64>() < share).count() as u64;
        }
        let clumps = poisson(n as f64 * share / clump, &mut self.dice);
        let sizes = (0..clumps).map(|_| 1 + poisson(clump - 1.0, &mut self.dice));
        sizes.sum::<u64>().min(n)
    }

    fn latencies(&mut self, n: u64, median_us: f64, tail: f64) -> Vec<(i32, u64)> {
        let (centre, per_bucket) = (median_us.ln(), 1.0 / GAMMA.ln());
        let mut counts = [0u32; 1_057];
        let (mut low, mut high) = (1_056, 0);
        for _ in 0..n {
            let five = if tail > 0.0 && self.dice.random::<f64>() < tail { 5f64.ln() } else { 0.0 };
            let log = centre + five + self.world.sigma * normal(&mut self.dice);
            let index = (log * per_bucket).ceil().clamp(0.0, 1_056.0) as usize;
            counts[index] += 1;
            (low, high) = (low.min(index), high.max(index));
        }
        let seen = (low..=high).filter(|index| counts[*index] > 0);
        seen.map(|index| (index as i32, u64::from(counts[index]))).collect()
    }
}
