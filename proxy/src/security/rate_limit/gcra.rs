//! GCRA, the generic cell rate algorithm (ITU-T I.371): a token bucket in one number.
//!
//! What is kept of a key is its theoretical arrival time: when it would be even with its rate again. A
//! request moves it on by one interval; it is refused if that time lies further ahead than the burst allows.
//! It admits exactly what a bucket of `burst` tokens does that is filled one token an interval.

use std::time::Duration;

/// A rate and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// Between two requests at the sustained rate, ns; at least 1.
    interval: u64,
    /// So far ahead of now the arrival time may lie before a request, ns.
    tolerance: u64,
}

/// What a request that is admitted leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Requests that could come at once.
    pub remaining: u64,
    /// Until the bucket is full.
    pub full_in: Duration,
}

impl Gcra {
    /// `requests` in `per`, `burst` of them at once; both are at least 1.
    #[must_use]
    pub fn new(requests: f64, per: Duration, burst: u32) -> Self {
        // Saturates: settings bound both, so that nothing is lost.
        let interval = ((per.as_nanos() as f64 / requests) as u64).max(1);
        Self { interval, tolerance: interval.saturating_mul(u64::from(burst.max(1)) - 1) }
    }

    /// The arrival time after a request at `now`, which found `arrival`.
    ///
    /// # Errors
    /// The request comes too early: by how much.
    pub fn admit(self, arrival: u64, now: u64) -> Result<(u64, Left), Duration> {
        let arrival = arrival.max(now);
        let ahead = arrival - now;
        if ahead > self.tolerance {
            return Err(Duration::from_nanos(ahead - self.tolerance));
        }
        let ahead = ahead.saturating_add(self.interval);
        let room = self.tolerance.saturating_add(self.interval).saturating_sub(ahead);
        let left = Left { remaining: room / self.interval, full_in: Duration::from_nanos(ahead) };
        Ok((now.saturating_add(ahead), left))
    }

    /// The arrival time as if one request had not come.
    #[must_use]
    pub fn give_back(self, arrival: u64) -> u64 {
        arrival.saturating_sub(self.interval)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_alone() {
        let gcra = Gcra::new(10.0, SECOND, 5);
        let mut arrival = 0;
        let mut remaining = Vec::new();
        while let Ok((next, left)) = gcra.admit(arrival, 1) {
            remaining.push(left.remaining);
            arrival = next;
        }
        assert_eq!(remaining, [4, 3, 2, 1, 0]);
        let wait = gcra.admit(arrival, 1).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        let at = 1 + u64::try_from(wait.as_nanos()).unwrap();
        assert!(gcra.admit(arrival, at - 1).is_err());
        assert!(gcra.admit(arrival, at).is_ok(), "who comes when told to is admitted");
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept_to_the_request() {
        let gcra = Gcra::new(100.0, SECOND, 1);
        let (mut arrival, mut admitted) = (0, 0);
        // A thousand a second for ten seconds.
        for n in 0..10_000u64 {
            if let Ok((next, _)) = gcra.admit(arrival, n * 1_000_000) {
                (arrival, admitted) = (next, admitted + 1);
            }
        }
        assert_eq!(admitted, 1_000);
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let gcra = Gcra::new(1.0, SECOND, 1);
        let (arrival, left) = gcra.admit(0, 5).unwrap();
        assert_eq!((left.remaining, left.full_in), (0, SECOND));
        assert!(gcra.admit(arrival, 6).is_err());
        assert!(gcra.admit(gcra.give_back(arrival), 6).is_ok());
    }
}
