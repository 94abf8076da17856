//! A service's vital signs, ten seconds at a time, and how they usually keep to each other: what retries hide, or
//! what several numbers show a little each, leaves the pattern long before any one of them is unusual.

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::series::share;
use super::service::Service;
use super::tail::Tail;

/// Seconds that make one row.
pub const BLOCK_S: i64 = 10;
/// Rows that are judged together: what lasts no longer is no departure.
pub const LASTING: usize = 3;
/// Two weeks of rows: how the signs keep to each other changes with what is built, not with the hour.
const HALF_LIFE: f64 = 120_960.0;
/// Fewer requests in a row say nothing.
const MIN_REQUESTS: u64 = 50;
/// The least noise of a share, as an angle; of a logarithm of a count.
const ANGLE: f64 = 0.01;
const LOG: f64 = 0.05;

/// One vital sign; all but the rate are bad when they are high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Requests a second.
    Rate,
    /// Share of failures that clients see.
    Failed,
    /// Share of responses above the usual p99.
    Slow,
    /// Share of responses far above it.
    Far,
    /// Share of attempts whose connection broke or could not be made.
    Broken,
    /// Attempts made again, a request.
    Retried,
    /// Requests in flight.
    InFlight,
}

impl Sign {
    /// All of them, in the order of a row.
    pub const ALL: [Self; 7] =
        [Self::Rate, Self::Failed, Self::Slow, Self::Far, Self::Broken, Self::Retried, Self::InFlight];

    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests a second",
            Self::Failed => "failures",
            Self::Slow => "slow responses",
            Self::Far => "very slow responses",
            Self::Broken => "broken connections",
            Self::Retried => "attempts made again",
            Self::InFlight => "requests in flight",
        }
    }

    /// In units of its least noise, with an even spread: the arc sine of a share's root, the logarithm of a count.
    fn scaled(self, value: f64) -> f64 {
        match self {
            Self::Rate | Self::InFlight => value.max(0.0).ln_1p() / LOG,
            Self::Retried => value.max(0.0).ln_1p() / ANGLE,
            _ => value.clamp(0.0, 1.0).sqrt().asin() / ANGLE,
        }
    }

    /// What was scaled.
    #[must_use]
    pub fn unscaled(self, scaled: f64) -> f64 {
        match self {
            Self::Rate | Self::InFlight => (scaled * LOG).exp_m1().max(0.0),
            Self::Retried => (scaled * ANGLE).exp_m1().max(0.0),
            _ => (scaled * ANGLE).clamp(0.0, std::f64::consts::FRAC_PI_2).sin().powi(2),
        }
    }
}

/// A row, both as it was counted and as the pattern takes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// In the order of [`Sign::ALL`].
    pub seen: [f64; 7],
    /// The requests it was counted from.
    pub requests: u64,
}

impl Row {
    /// As the pattern takes it.
    #[must_use]
    pub fn scaled(&self) -> [f64; 7] {
        let mut scaled = self.seen;
        scaled.iter_mut().zip(Sign::ALL).for_each(|(value, sign)| *value = sign.scaled(*value));
        scaled
    }
}

/// What is remembered of the signs of one service; three kilobytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Vitals {
    /// How they keep to each other.
    pub pattern: Pattern,
    /// How far they leave it in quiet times.
    pub tail: Tail,
    /// The last row looked at.
    #[serde(skip)]
    pub block: i64,
    /// Surprise of the last rows, newest last, in nats.
    #[serde(skip)]
    pub lately: Vec<f64>,
    /// Since which row the signs have been apart; absent: they keep to each other.
    #[serde(skip)]
    pub apart: Option<i64>,
}

impl Default for Vitals {
    fn default() -> Self {
        let pattern = Pattern::new(Sign::ALL.len(), HALF_LIFE);
        Self { pattern, tail: Tail::default(), block: 0, lately: Vec::new(), apart: None }
    }
}

impl Service {
    /// The signs of one row, where there was traffic enough. To be asked within the minute.
    #[must_use]
    pub fn signs(&self, block: i64) -> Option<Row> {
        let (from, to) = (block * BLOCK_S, block * BLOCK_S + BLOCK_S - 1);
        let (all, broken) = (self.ring.sum(from, to), self.broken.sum(from, to));
        if all.n < MIN_REQUESTS {
            return None;
        }
        let of_all = |part: u64| share(part, all.n);
        let attempts = all.n.saturating_add(broken.slow);
        let seen = Sign::ALL.map(|sign| match sign {
            Sign::Rate => all.n as f64 / BLOCK_S as f64,
            Sign::Failed => of_all(all.failed),
            Sign::Slow => of_all(all.slow),
            Sign::Far => of_all(self.far.sum(from, to).slow),
            Sign::Broken => share(broken.failed, attempts),
            Sign::Retried => of_all(broken.slow),
            Sign::InFlight => self.in_flight.sum(from, to).n as f64 / BLOCK_S as f64,
        });
        Some(Row { seen, requests: all.n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scaled_can_be_told_again() {
        for sign in Sign::ALL {
            for value in [0.0, 0.01, 0.3, 1.0] {
                let told = sign.unscaled(sign.scaled(value));
                assert!((told - value).abs() < 1e-9, "{sign:?} {value} {told}");
            }
        }
    }
}
