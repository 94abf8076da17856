//! What may be spent on advice in an hour, and a breaker for a model that does not answer. Time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
/// Failures in a row that open the breaker.
const FAILURES: u32 = 3;
/// It stays open so long at first, doubled each time up to [`LONGEST`].
const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(1_800);

/// The bounds of one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Questions.
    pub calls: u32,
    /// Tokens, in and out.
    pub tokens: u64,
    /// US dollars; with [`Self::usd_per_million_tokens`].
    pub usd: Option<f64>,
    /// What a million tokens cost.
    pub usd_per_million_tokens: f64,
}

/// What was spent, and whether the model may be asked.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    spent: VecDeque<(Duration, u64)>,
    failures: u32,
    rest: Duration,
    closed_until: Duration,
}

impl Budget {
    /// Nothing spent.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, spent: VecDeque::new(), failures: 0, rest: FIRST_REST, closed_until: Duration::ZERO }
    }

    /// Whether one more question may be asked at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn may_ask(&mut self, now: Duration) -> Result<(), String> {
        while self.spent.front().is_some_and(|(at, _)| *at + HOUR <= now) {
            self.spent.pop_front();
        }
        if now < self.closed_until {
            let left_s = (self.closed_until - now).as_secs();
            return Err(format!("the model failed {FAILURES} times; it is asked again in {left_s} s"));
        }
        let calls = self.spent.len();
        if calls >= self.limits.calls as usize {
            return Err(format!("{calls} questions were asked in the last hour"));
        }
        let tokens: u64 = self.spent.iter().map(|(_, tokens)| tokens).sum();
        if tokens >= self.limits.tokens {
            return Err(format!("{tokens} tokens were spent in the last hour"));
        }
        let usd = tokens as f64 / 1e6 * self.limits.usd_per_million_tokens;
        match self.limits.usd {
            Some(most) if usd >= most => Err(format!("{usd:.2} USD were spent in the last hour")),
            _ => Ok(()),
        }
    }

    /// A question was asked.
    pub fn asked(&mut self, tokens: u64, answered: bool, now: Duration) {
        self.spent.push_back((now, tokens));
        if answered {
            (self.failures, self.rest) = (0, FIRST_REST);
            return;
        }
        self.failures += 1;
        if self.failures >= FAILURES {
            self.closed_until = now + self.rest;
            // One more failure after the rest opens it again, for longer.
            self.failures = FAILURES - 1;
            self.rest = (self.rest * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(calls: u32, tokens: u64, usd: Option<f64>) -> Budget {
        Budget::new(Limits { calls, tokens, usd, usd_per_million_tokens: 10.0 })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn calls_tokens_and_cost_are_bounded_by_the_hour() {
        let mut calls = budget(2, 1_000_000, None);
        calls.asked(1, true, at(0));
        calls.asked(1, true, at(10));
        assert!(calls.may_ask(at(20)).is_err());
        assert!(calls.may_ask(at(3_601)).is_ok(), "the first is an hour old");
        let mut tokens = budget(9, 500, None);
        tokens.asked(500, true, at(0));
        assert!(tokens.may_ask(at(1)).is_err());
        let mut usd = budget(9, 1_000_000, Some(1.0));
        usd.asked(99_999, true, at(0));
        assert!(usd.may_ask(at(1)).is_ok());
        usd.asked(1, true, at(1));
        assert!(usd.may_ask(at(2)).is_err_and(|why| why.contains("USD")));
    }

    #[test]
    fn a_dead_model_is_left_alone_for_longer_and_longer() {
        let mut dead = budget(1_000, 1_000, None);
        (0..3).for_each(|n| dead.asked(0, false, at(n)));
        assert!(dead.may_ask(at(30)).is_err());
        assert!(dead.may_ask(at(62)).is_ok());
        dead.asked(0, false, at(62));
        assert!(dead.may_ask(at(62 + 119)).is_err(), "twice as long");
        assert!(dead.may_ask(at(62 + 120)).is_ok());
        dead.asked(5, true, at(200));
        dead.asked(0, false, at(201));
        assert!(dead.may_ask(at(202)).is_ok(), "an answer forgives");
    }
}
