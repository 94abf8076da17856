//! A part of a service (an endpoint, a version) as it is held against the rest.

use crate::domain::Signal;
use crate::policies::{DetectionPolicy, Floor};
use crate::state::evidence::Cusum;
use crate::state::{Endpoint, Ring, Service, Tally, Version, share};

/// An excess of failures below this is thin: a clump of failures in a second or two makes it.
const THIN: f64 = 0.1;
/// So many more seconds must show a thin one.
const THIN_SECONDS: u32 = 3;
/// Seconds back to which a change is looked for.
const BACK_S: i64 = 60;

/// See the module.
pub(super) struct Part<'a> {
    service: &'a Service,
    rings: Vec<&'a Ring>,
    errors: &'a Cusum,
    latency: &'a Cusum,
    graced_until_ms: i64,
    /// How many such parts there are.
    of: usize,
}

/// What is to be thought of a part whose evidence has passed the threshold.
pub(super) enum Finding {
    /// It is worse than the rest, as these seconds show.
    Sick(Tail),
    /// Not enough to say so.
    NotEnough,
    /// It was, and is no longer.
    Over,
}

/// The seconds since the change, and what they show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub(super) from: i64,
    pub(super) own: f64,
    pub(super) n: u64,
    pub(super) count: u64,
    pub(super) siblings: f64,
    bad_seconds: u32,
}

/// What of a tally the signal is about.
pub(super) fn bad(tally: Tally, signal: Signal) -> u64 {
    if signal == Signal::PeerErrors { tally.failed } else { tally.slow }
}

/// What the policy asks of the signal.
pub(super) fn floor_of(policy: &DetectionPolicy, signal: Signal) -> &Floor {
    if signal == Signal::PeerErrors { &policy.peers.errors } else { &policy.peers.latency }
}

impl<'a> Part<'a> {
    pub(super) fn endpoint(service: &'a Service, endpoint: &'a Endpoint) -> Self {
        Self {
            service,
            rings: vec![&endpoint.ring],
            errors: &endpoint.errors,
            latency: &endpoint.latency,
            graced_until_ms: endpoint.graced_until_ms,
            of: service.endpoints.len(),
        }
    }

    pub(super) fn version(service: &'a Service, label: &'a str, version: &'a Version) -> Self {
        let graced = service.of_version(label).map(|(_, e)| e.graced_until_ms).min();
        Self {
            service,
            rings: service.of_version(label).map(|(_, e)| &e.ring).collect(),
            errors: &version.errors,
            latency: &version.latency,
            graced_until_ms: graced.unwrap_or(i64::MIN),
            of: service.versions.len(),
        }
    }

    pub(super) fn evidence(&self, signal: Signal) -> &Cusum {
        if signal == Signal::PeerErrors { self.errors } else { self.latency }
    }

    fn sum(&self, from: i64, to: i64) -> Tally {
        let mut sum = Tally::default();
        self.rings.iter().for_each(|ring| sum.add(ring.sum(from, to)));
        sum
    }

    fn at(&self, second: i64) -> Tally {
        let mut sum = Tally::default();
        self.rings.iter().for_each(|ring| sum.add(ring.at(second)));
        sum
    }

    /// Whether it is worse than the rest now, by the floor of `signal`.
    pub(super) fn judge(&self, signal: Signal, second: i64, policy: &DetectionPolicy) -> Finding {
        let floor = floor_of(policy, signal);
        if !self.still_bad(signal, second, floor) {
            let quiet = self.sum(second - 9, second);
            return if quiet.n > 0 && bad(quiet, signal) == 0 { Finding::Over } else { Finding::NotEnough };
        }
        let Some(tail) = self.tail(signal, second, floor) else { return Finding::NotEnough };
        let odds = |p: f64| p.min(0.999) / (1.0 - p.min(0.999));
        // Of two, it takes a second more to tell who is the sick one.
        let two = u32::from(self.of == 2);
        let thin = signal == Signal::PeerErrors && tail.own - tail.siblings < THIN;
        let enough = tail.count >= floor.min_count
            && tail.bad_seconds >= floor.min_seconds + two + if thin { THIN_SECONDS } else { 0 }
            && tail.own - tail.siblings >= floor.min_excess
            && odds(tail.own) >= policy.peers.min_odds_ratio * odds(tail.siblings);
        if enough { Finding::Sick(tail) } else { Finding::NotEnough }
    }

    /// Whether the last seconds (as many as hold ten requests) still show half the excess.
    fn still_bad(&self, signal: Signal, second: i64, floor: &Floor) -> bool {
        let mut from = second - 2;
        while self.sum(from, second).n < 10 && second - from < 30 {
            from -= 1;
        }
        let own = self.sum(from, second);
        let others = self.service.attempts(from, second).without(own);
        let excess = share(bad(own, signal), own.n) - share(bad(others, signal), others.n);
        own.n > 0 && excess >= floor.min_excess / 2.0
    }

    /// The change-point: of all beginnings within the present run the one from which on the excess
    /// over the siblings' share plus the floor is greatest.
    fn tail(&self, signal: Signal, second: i64, floor: &Floor) -> Option<Tail> {
        let graced = self.graced_until_ms.div_euclid(1_000);
        let first = self.evidence(signal).onset_second()?.max(second - BACK_S).max(graced);
        let (mut own, mut others) = (Tally::default(), Tally::default());
        let (mut score, mut bad_seconds) = (0.0, 0);
        let mut best: Option<(f64, Tail)> = None;
        for from in (first..=second).rev() {
            let mine = self.at(from);
            if mine.n == 0 {
                continue;
            }
            let rest = self.service.attempts(from, from).without(mine);
            own.add(mine);
            others.add(rest);
            let excess = share(bad(mine, signal), mine.n) - share(bad(rest, signal), rest.n);
            score += (excess - floor.min_excess) * mine.n as f64;
            bad_seconds += u32::from(excess > floor.min_excess);
            if best.is_none_or(|(top, _)| score > top) {
                let (count, siblings) = (bad(own, signal), share(bad(others, signal), others.n));
                let own = (share(count, own.n), own.n);
                best = Some((score, Tail { from, own: own.0, n: own.1, count, siblings, bad_seconds }));
            }
        }
        best.map(|(_, tail)| tail)
    }
}
