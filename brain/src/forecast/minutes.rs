//! The last hours of one service's load, minute by minute: 180 minutes, 0.7 kilobytes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Minutes kept.
pub const KEPT: usize = 180;
/// A gap of so many minutes is bridged by the last value before it; after a longer one it begins anew.
const BRIDGED: i64 = 10;
/// Seconds of a minute that must have been seen.
const SEEN_S: u32 = 30;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Minutes {
    rates: VecDeque<f32>,
    /// The newest full minute since the epoch.
    newest: i64,
    /// The minute that is being counted: which, requests, seconds seen.
    open: (i64, u64, u32),
}

impl Minutes {
    /// One second is over. They come in order; those that never came were not seen.
    pub fn count(&mut self, second: i64, requests: u64) {
        let minute = second.div_euclid(60);
        if minute != self.open.0 {
            self.close();
            self.open = (minute, 0, 0);
        }
        self.open.1 = self.open.1.saturating_add(requests);
        self.open.2 += 1;
    }

    fn close(&mut self) {
        let (minute, requests, seen) = self.open;
        if seen < SEEN_S {
            return;
        }
        let missed = minute - self.newest - 1;
        if !(0..=BRIDGED).contains(&missed) {
            self.rates.clear();
        } else if let Some(last) = self.rates.back().copied() {
            (0..missed).for_each(|_| self.rates.push_back(last));
        }
        self.rates.push_back(requests as f32 / seen as f32);
        while self.rates.len() > KEPT {
            self.rates.pop_front();
        }
        self.newest = minute;
    }

    /// Requests a second, oldest minute first, and the second in which the newest ended.
    #[must_use]
    pub fn rates(&self) -> (Vec<f64>, i64) {
        (self.rates.iter().map(|rate| f64::from(*rate)).collect(), (self.newest + 1) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(seconds: impl Iterator<Item = i64>) -> Minutes {
        let mut minutes = Minutes::default();
        seconds.for_each(|second| minutes.count(second, 7));
        minutes
    }

    #[test]
    fn full_minutes_are_kept_up_to_a_bound() {
        let (rates, end_s) = counted(0..60 * 200 + 1).rates();
        assert_eq!((rates.len(), end_s), (KEPT, 12_000));
        assert!(rates.iter().all(|rate| (rate - 7.0).abs() < 1e-6));
    }

    #[test]
    fn a_short_gap_is_bridged_and_after_a_long_one_it_begins_anew() {
        assert_eq!(counted((0..600).chain(900..1_201)).rates().0.len(), 20);
        assert_eq!(counted((0..600).chain(7_200..7_501)).rates().0.len(), 5);
        assert_eq!(counted((0..600).chain(610..621).chain(660..721)).rates().0.len(), 12);
    }
}
