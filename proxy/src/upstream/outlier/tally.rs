//! What workers see of one endpoint, and whether it is out.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::settings::Outliers;
use crate::telemetry::Outcome;

/// Why an endpoint is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Failures in a row.
    Consecutive5xx,
    /// Gateway failures in a row.
    ConsecutiveGateway,
    /// A success rate far below the others'.
    SuccessRate,
}

impl Cause {
    /// The name in `/status` and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGateway => "consecutive_gateway_failures",
            Self::SuccessRate => "success_rate",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Consecutive5xx => 1,
            Self::ConsecutiveGateway => 2,
            Self::SuccessRate => 3,
        }
    }
}

/// What is counted for, and when to call.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    consecutive_5xx: u32,
    consecutive_gateway: u32,
}

impl From<&Outliers> for Watch {
    fn from(rule: &Outliers) -> Self {
        Self { consecutive_5xx: rule.consecutive_5xx, consecutive_gateway: rule.consecutive_gateway }
    }
}

/// See the module. All in atomics, over all workers.
#[derive(Debug, Default)]
pub struct Tally {
    /// Failures in a row.
    pub failures: AtomicU32,
    /// Gateway failures in a row.
    pub gateway_failures: AtomicU32,
    /// Successes of this interval.
    pub succeeded: AtomicU32,
    /// Requests of this interval.
    pub all: AtomicU32,
    /// Ejections in short succession.
    pub times: AtomicU32,
    /// Ejections since it is known.
    pub ejections: AtomicU64,
    until_ms: AtomicU64,
    cause: AtomicU8,
}

impl Tally {
    /// Counts; whether somebody should judge now.
    pub fn add(&self, outcome: Outcome, watch: &Watch) -> bool {
        self.all.fetch_add(1, Ordering::Relaxed);
        let in_a_row = |count: &AtomicU32, counts: bool| match counts {
            true => count.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            false => {
                // The healthy path reads.
                if count.load(Ordering::Relaxed) > 0 {
                    count.store(0, Ordering::Relaxed);
                }
                0
            }
        };
        let failures = in_a_row(&self.failures, outcome.is_failure());
        let gateway = in_a_row(&self.gateway_failures, is_of_gateway(outcome));
        if failures == 0 {
            self.succeeded.fetch_add(1, Ordering::Relaxed);
        }
        let reached = |count: u32, limit: u32| limit > 0 && count >= limit;
        let calls = reached(failures, watch.consecutive_5xx) || reached(gateway, watch.consecutive_gateway);
        calls && !self.is_ejected()
    }

    /// Whether it is out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.until_ms() > 0
    }

    /// Until when it is out; 0: it is not.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms.load(Ordering::Relaxed)
    }

    /// Why it is out, if it is.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        let causes = [Cause::Consecutive5xx, Cause::ConsecutiveGateway, Cause::SuccessRate];
        let code = self.cause.load(Ordering::Relaxed);
        causes.into_iter().find(|cause| self.is_ejected() && cause.code() == code)
    }

    pub(super) fn eject(&self, cause: Cause, until_ms: u64) {
        self.cause.store(cause.code(), Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.until_ms.store(until_ms.max(1), Ordering::Relaxed);
    }

    /// It is back, with a clean record.
    pub(super) fn let_back(&self) {
        for count in [&self.failures, &self.gateway_failures, &self.succeeded, &self.all] {
            count.store(0, Ordering::Relaxed);
        }
        self.until_ms.store(0, Ordering::Relaxed);
    }

    /// An interval is over: its counts.
    pub(super) fn take_interval(&self) -> (u32, u32) {
        (self.succeeded.swap(0, Ordering::Relaxed), self.all.swap(0, Ordering::Relaxed))
    }
}

/// 502, 503, 504, and what would be one of them: no answer at all.
fn is_of_gateway(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Status(status) => (502..=504).contains(&status),
        Outcome::Timeout | Outcome::Reset | Outcome::ConnectFailure => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_call_and_gateway_failures_are_counted_apart() {
        let watch = Watch { consecutive_5xx: 3, consecutive_gateway: 2 };
        let calls = |outcomes: &[Outcome]| {
            let tally = Tally::default();
            outcomes.iter().map(|outcome| tally.add(*outcome, &watch)).collect::<Vec<_>>()
        };
        let (ok, bad, gateway) = (Outcome::Status(200), Outcome::Status(500), Outcome::Status(503));
        assert_eq!(calls(&[bad, bad, ok, bad, bad, bad]), [false, false, false, false, false, true]);
        assert_eq!(calls(&[gateway, bad, gateway, Outcome::Reset]), [false, false, true, true]);
        assert_eq!(calls(&[Outcome::Status(429); 9]), [false; 9]);
    }
}
