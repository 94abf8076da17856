//! A breaker per endpoint, as a small state machine. Closed lets traffic flow.
//!
//! Consecutive failures open it, or the rate of failures over a sliding window; after the recovery
//! timeout a bounded number of probes goes through (half open); enough of them succeeding close it, one
//! failing opens it again. The state is one 64-bit word that all workers change by compare-and-swap with
//! pure functions, so there is no lock and no torn state. Without a window the healthy path reads one
//! word and writes none. What was sent before an opening says nothing after it.

mod rate;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod word;

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::snapshot::BreakerState;

use super::weather;
use crate::live_state::HeldBreaker;
use crate::settings;
use rate::RateWindow;
use word::Word;

/// See the module.
#[derive(Debug, Default)]
pub struct Breaker {
    word: AtomicU64,
    window: RateWindow,
}

/// The right to send one request, to be settled or released exactly once. It names the period by when
/// the breaker had opened last: results of an earlier one change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The breaker was closed.
    Flow {
        /// The period.
        opened_ms: u64,
    },
    /// One of the probes of the half-open period.
    Probe {
        /// The period.
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
            (HeldBreaker::Closed, _) | (HeldBreaker::Free, None) => return Some(self.load().flow()),
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
            (HeldBreaker::Closed, _) | (_, None) => self.update(Word::closed),
            (_, Some(settings)) => {
                let counts = || self.load().is_of_now(ticket) && matches!(ticket, Ticket::Flow { .. });
                let full =
                    |rate: &settings::FailureRate| counts() && self.window.add(!succeeded, rate, now_ms);
                let trips = settings.rate.as_ref().is_some_and(full);
                self.update(|word| word.settle(ticket, (succeeded, trips), settings, now_ms));
            }
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
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    fn replace(&self, seen: Word, next: Word) -> bool {
        let exchange =
            || self.word.compare_exchange_weak(seen.pack(), next.pack(), Ordering::AcqRel, Ordering::Acquire);
        let replaced = seen == next || exchange().is_ok();
        if replaced && seen.state != next.state {
            self.window.forget();
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
