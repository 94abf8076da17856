//! A breaker per endpoint, as a small state machine. Closed lets traffic flow.
//!
//! Consecutive failures open it; after the recovery timeout a bounded number of probes goes through
//! (half open); enough of them succeeding close it, one failing opens it again. The whole state is
//! one 64-bit word that all workers change by compare-and-swap with pure functions, so there is no
//! lock and no torn state. The healthy path reads one word and writes none.
//!
//! Bounds by the word's layout: at most 65,535 failures or successes are counted and at most 63
//! probes at once; larger settings mean those. Times are milliseconds since the process started.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::snapshot::BreakerState;

use super::weather;
use crate::live_state::HeldBreaker;
use crate::settings;

/// See the module.
#[derive(Debug, Default)]
pub struct Breaker(AtomicU64);

/// The right to send one request, to be settled or released exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The breaker was closed.
    Flow,
    /// One of the probes of the half-open period after the opening at this time.
    Probe {
        /// When the breaker had opened: probes of an earlier period change nothing.
        opened_ms: u64,
    },
}

/// What decides over one request: the settings, and a lease's hold.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Absent: there is no breaker.
    pub settings: Option<settings::Breaker>,
    /// A lease's word goes before the breaker's own.
    pub held: HeldBreaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    state: BreakerState,
    /// Probes on their way (half open).
    probes: u8,
    /// Consecutive failures (closed) or successes (half open).
    count: u16,
    /// When it opened (open, half open).
    opened_ms: u64,
}

const MAX_PROBES: u32 = (1 << 6) - 1;
const TIME_MASK: u64 = (1 << 40) - 1;
const CLOSED: Word = Word { state: BreakerState::Closed, probes: 0, count: 0, opened_ms: 0 };

impl Word {
    fn pack(self) -> u64 {
        let head = u64::from(self.state.code()) | u64::from(self.probes) << 2 | u64::from(self.count) << 8;
        head | (self.opened_ms & TIME_MASK) << 24
    }

    fn unpack(word: u64) -> Self {
        let state = match word & 3 {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        let probes = (word >> 2) as u8 & MAX_PROBES as u8;
        Self { state, probes, count: (word >> 8) as u16, opened_ms: word >> 24 }
    }

    fn open(now_ms: u64) -> Self {
        Self { state: BreakerState::Open, opened_ms: now_ms & TIME_MASK, ..CLOSED }
    }

    fn admit(self, rules: &settings::Breaker, now_ms: u64) -> Option<(Self, Ticket)> {
        match self.state {
            BreakerState::Closed => Some((self, Ticket::Flow)),
            BreakerState::Open => {
                let open_for = (now_ms & TIME_MASK).saturating_sub(self.opened_ms);
                let recovered = u128::from(open_for) >= rules.recovery_timeout.as_millis();
                let half = Self { state: BreakerState::HalfOpen, probes: 0, count: 0, ..self };
                if recovered { half.admit(rules, now_ms) } else { None }
            }
            BreakerState::HalfOpen => {
                let limit = rules.half_open_max_calls.clamp(1, MAX_PROBES);
                let probe = Ticket::Probe { opened_ms: self.opened_ms };
                let room = u32::from(self.probes) < limit;
                room.then_some((Self { probes: self.probes.saturating_add(1), ..self }, probe))
            }
        }
    }

    fn settle(self, ticket: Ticket, succeeded: bool, rules: &settings::Breaker, now_ms: u64) -> Self {
        match (self.state, ticket) {
            (BreakerState::Closed, Ticket::Flow) if succeeded => CLOSED,
            (BreakerState::Closed, Ticket::Flow) => {
                let count = self.count.saturating_add(1);
                let opens = u32::from(count) >= rules.failure_threshold.min(u32::from(u16::MAX));
                if opens { Self::open(now_ms) } else { Self { count, ..CLOSED } }
            }
            (BreakerState::HalfOpen, Ticket::Probe { opened_ms }) if opened_ms == self.opened_ms => {
                let freed = self.release(ticket);
                let count = self.count.saturating_add(1);
                let closes = u32::from(count) >= rules.success_threshold.min(u32::from(u16::MAX));
                match (succeeded, closes) {
                    (false, _) => Self::open(now_ms),
                    (true, true) => CLOSED,
                    (true, false) => Self { count, ..freed },
                }
            }
            // The answer belongs to a period that is over.
            _ => self,
        }
    }

    fn release(self, ticket: Ticket) -> Self {
        match (self.state, ticket) {
            (BreakerState::HalfOpen, Ticket::Probe { opened_ms }) if opened_ms == self.opened_ms => {
                Self { probes: self.probes.saturating_sub(1), ..self }
            }
            _ => self,
        }
    }
}

impl Breaker {
    /// Whether [`Self::admit`] would let a request through now. Changes nothing.
    #[must_use]
    pub fn would_admit(&self, rules: &Rules, now_ms: u64) -> bool {
        match (rules.held, &rules.settings) {
            (HeldBreaker::Open, _) => false,
            (HeldBreaker::Closed, _) | (HeldBreaker::Free, None) => true,
            (HeldBreaker::Free, Some(settings)) => self.load().admit(settings, now_ms).is_some(),
        }
    }

    /// Until when nothing gets through unless it changes: for whoever asks less often than it may
    /// recover. `None`: something does now.
    #[must_use]
    pub fn shut_until_ms(&self, rules: &Rules) -> Option<u64> {
        match (rules.held, &rules.settings) {
            (HeldBreaker::Open, _) => Some(u64::MAX),
            (HeldBreaker::Closed, _) | (HeldBreaker::Free, None) => None,
            (HeldBreaker::Free, Some(settings)) => {
                let word = self.load();
                let recovery_ms = u64::try_from(settings.recovery_timeout.as_millis()).unwrap_or(u64::MAX);
                (word.state == BreakerState::Open).then(|| word.opened_ms.saturating_add(recovery_ms))
            }
        }
    }

    /// The right to send one request, unless the breaker is open or has no room for a probe.
    pub fn admit(&self, rules: &Rules, now_ms: u64) -> Option<Ticket> {
        let settings = match (rules.held, &rules.settings) {
            (HeldBreaker::Open, _) => return None,
            (HeldBreaker::Closed, _) | (HeldBreaker::Free, None) => return Some(Ticket::Flow),
            (HeldBreaker::Free, Some(settings)) => settings,
        };
        loop {
            let seen = self.load();
            let (next, ticket) = seen.admit(settings, now_ms)?;
            if self.replace(seen, next) {
                return Some(ticket);
            }
        }
    }

    /// What became of the request. Under a breaker held closed, or with none, nothing is counted
    /// and what was counted is forgotten.
    pub fn settle(&self, ticket: Ticket, succeeded: bool, rules: &Rules, now_ms: u64) {
        match (rules.held, &rules.settings) {
            (HeldBreaker::Closed, _) | (_, None) => self.update(|_| CLOSED),
            (_, Some(settings)) => self.update(|word| word.settle(ticket, succeeded, settings, now_ms)),
        }
    }

    /// The request ended without an outcome (its client went away): gives a probe's place back.
    pub fn release(&self, ticket: Ticket) {
        self.update(|word| word.release(ticket));
    }

    /// What it shows: a lease's hold, else its own state. Open turns half open with the first
    /// request after the recovery timeout, not before.
    #[must_use]
    pub fn state(&self, held: HeldBreaker) -> BreakerState {
        match held {
            HeldBreaker::Open => BreakerState::Open,
            HeldBreaker::Closed => BreakerState::Closed,
            HeldBreaker::Free => self.load().state,
        }
    }

    fn load(&self) -> Word {
        Word::unpack(self.0.load(Ordering::Acquire))
    }

    fn replace(&self, seen: Word, next: Word) -> bool {
        let exchange =
            || self.0.compare_exchange_weak(seen.pack(), next.pack(), Ordering::AcqRel, Ordering::Acquire);
        let replaced = seen == next || exchange().is_ok();
        if replaced && seen.state != next.state {
            weather::changed();
        }
        replaced
    }

    fn update(&self, change: impl Fn(Word) -> Word) {
        loop {
            let seen = self.load();
            if self.replace(seen, change(seen)) {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const RULES: Rules = Rules {
        settings: Some(settings::Breaker {
            failure_threshold: 3,
            recovery_timeout: Duration::from_millis(1_000),
            half_open_max_calls: 2,
            success_threshold: 2,
        }),
        held: HeldBreaker::Free,
    };

    fn opened_at(now_ms: u64) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..3 {
            let ticket = breaker.admit(&RULES, now_ms).unwrap();
            breaker.settle(ticket, false, &RULES, now_ms);
        }
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
        breaker
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let breaker = Breaker::default();
        for succeeded in [false, false, true, false, false] {
            breaker.settle(Ticket::Flow, succeeded, &RULES, 5);
        }
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
        breaker.settle(Ticket::Flow, false, &RULES, 5);
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
        assert_eq!(breaker.admit(&RULES, 1_004), None);
    }

    #[test]
    fn after_the_recovery_timeout_bounded_probes_close_it() {
        let breaker = opened_at(7);
        let first = breaker.admit(&RULES, 1_007).unwrap();
        let second = breaker.admit(&RULES, 1_007).unwrap();
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::HalfOpen);
        assert!(breaker.admit(&RULES, 1_007).is_none());
        breaker.settle(first, true, &RULES, 1_008);
        breaker.settle(second, true, &RULES, 1_008);
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_late_probes_of_that_period_change_nothing() {
        let breaker = opened_at(0);
        let first = breaker.admit(&RULES, 1_000).unwrap();
        let late = breaker.admit(&RULES, 1_000).unwrap();
        breaker.settle(first, false, &RULES, 1_100);
        assert_eq!(breaker.admit(&RULES, 2_099), None);
        let probe = breaker.admit(&RULES, 2_100).unwrap();
        breaker.settle(late, false, &RULES, 2_101);
        breaker.release(late);
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::HalfOpen);
        assert_ne!(probe, late);
        assert!(breaker.admit(&RULES, 2_102).is_some());
        assert!(breaker.admit(&RULES, 2_102).is_none());
    }

    #[test]
    fn an_abandoned_probe_gives_its_place_back() {
        let breaker = opened_at(0);
        let probes = [breaker.admit(&RULES, 1_000).unwrap(), breaker.admit(&RULES, 1_000).unwrap()];
        assert!(!breaker.would_admit(&RULES, 1_000));
        probes.into_iter().for_each(|probe| breaker.release(probe));
        assert!(breaker.would_admit(&RULES, 1_000));
    }

    #[test]
    fn a_lease_holds_it_open_or_closed() {
        let breaker = Breaker::default();
        let open = Rules { held: HeldBreaker::Open, ..RULES };
        let closed = Rules { held: HeldBreaker::Closed, ..RULES };
        assert_eq!(breaker.admit(&open, 0), None);
        assert_eq!(breaker.state(HeldBreaker::Open), BreakerState::Open);
        let tripped = opened_at(0);
        let ticket = tripped.admit(&closed, 1).unwrap();
        tripped.settle(ticket, false, &closed, 1);
        assert_eq!(tripped.state(HeldBreaker::Free), BreakerState::Closed);
    }

    proptest! {
        #[test]
        fn whatever_happens_probes_stay_bounded_and_none_is_lost(
            steps in proptest::collection::vec((0u8..4, 0u64..2_000), 1..200)
        ) {
            let breaker = Breaker::default();
            let (mut now_ms, mut held) = (0, Vec::new());
            for (step, pause_ms) in steps {
                now_ms += pause_ms;
                match (step, held.pop()) {
                    (0 | 1, Some(ticket)) => breaker.settle(ticket, step == 0, &RULES, now_ms),
                    (2, Some(ticket)) => breaker.release(ticket),
                    (_, back) => {
                        held.extend(back);
                        held.extend(breaker.admit(&RULES, now_ms));
                    }
                }
                let word = breaker.load();
                let of_now = |t: &&Ticket| **t == Ticket::Probe { opened_ms: word.opened_ms };
                prop_assert!(word.probes <= 2);
                if word.state == BreakerState::HalfOpen {
                    prop_assert_eq!(usize::from(word.probes), held.iter().filter(of_now).count());
                }
            }
        }
    }
}
