//! How many retries a service's requests have earned: a share of the requests of the last ten seconds, and
//! a small reserve, so that retries cannot multiply an outage (Finagle's and Linkerd's retry budget).
//!
//! Each worker keeps the budget of its own requests and gets its part of the reserve; nothing is shared.

use std::cell::RefCell;

use crate::settings::RetryBudget as Rules;

/// Over so many seconds requests count.
const SECONDS: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub struct RetryBudget(RefCell<Seconds>);

#[derive(Debug, Default)]
struct Seconds {
    /// Requests and retries, by second.
    counts: [(u32, u32); SECONDS],
    /// The latest second.
    now: u64,
}

impl RetryBudget {
    /// A request begins.
    pub fn request(&self, now_ms: u64) {
        let mut seconds = self.0.borrow_mut();
        let (requests, _) = seconds.at(now_ms);
        *requests = requests.saturating_add(1);
    }

    /// Takes one retry out, if there is one; `workers` share the reserve.
    pub fn spend(&self, rules: &Rules, workers: usize, now_ms: u64) -> bool {
        let mut seconds = self.0.borrow_mut();
        seconds.at(now_ms);
        let (requests, retries) = seconds.sums();
        let reserve = f64::from(rules.min_per_second) * SECONDS as f64 / workers.max(1) as f64;
        let earned = rules.ratio * requests as f64 + reserve;
        if (retries + 1) as f64 > earned {
            return false;
        }
        let (_, retries) = seconds.at(now_ms);
        *retries = retries.saturating_add(1);
        true
    }
}

impl Seconds {
    /// The counts of this second; what is older than all of them is forgotten.
    fn at(&mut self, now_ms: u64) -> &mut (u32, u32) {
        let now = (now_ms / 1_000).max(self.now);
        let passed = usize::try_from(now - self.now).unwrap_or(SECONDS).min(SECONDS);
        for step in 1..=passed {
            let old = self.now.wrapping_add(step as u64) as usize % SECONDS;
            self.counts.get_mut(old).into_iter().for_each(|counts| *counts = (0, 0));
        }
        self.now = now;
        let [first, rest @ ..] = &mut self.counts;
        match now as usize % SECONDS {
            0 => first,
            at => rest.get_mut(at - 1).unwrap_or(first),
        }
    }

    fn sums(&self) -> (u64, u64) {
        let add = |(a, b), (c, d): &(u32, u32)| (a + u64::from(*c), b + u64::from(*d));
        self.counts.iter().fold((0, 0), add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { ratio: 0.2, min_per_second: 1 };

    fn spent(budget: &RetryBudget, now_ms: u64) -> usize {
        (0..1_000).take_while(|_| budget.spend(&RULES, 1, now_ms)).count()
    }

    #[test]
    fn a_quiet_service_has_its_reserve_and_a_busy_one_its_share() {
        let budget = RetryBudget::default();
        assert_eq!(spent(&budget, 0), 10);
        let budget = RetryBudget::default();
        (0..100).for_each(|_| budget.request(5_000));
        assert_eq!(spent(&budget, 14_999), 20 + 10);
        assert_eq!(spent(&budget, 15_000), 0, "the requests have aged, the retries of just now have not");
        assert_eq!(spent(&budget, 25_000), 10);
    }

    #[test]
    fn workers_share_the_reserve() {
        let budget = RetryBudget::default();
        let spent = (0..1_000).take_while(|_| budget.spend(&RULES, 4, 0)).count();
        assert_eq!(spent, 2, "a fourth of ten, whole retries only");
    }

    proptest! {
        #[test]
        fn a_retry_is_granted_only_within_the_share_and_the_reserve_of_ten_seconds(
            steps in prop::collection::vec((0_u64..700, any::<bool>()), 1..400),
        ) {
            let budget = RetryBudget::default();
            let (mut now, mut seen) = (0, Vec::new());
            for (pause, retry) in steps {
                now += pause;
                if !retry {
                    budget.request(now);
                    seen.push((now / 1_000, true));
                } else if budget.spend(&RULES, 1, now) {
                    seen.push((now / 1_000, false));
                    let recent = || seen.iter().filter(|(at, _)| at + SECONDS as u64 > now / 1_000);
                    let requests = recent().filter(|(_, request)| *request).count();
                    prop_assert!((recent().count() - requests) as f64 <= 0.2 * requests as f64 + 10.0);
                }
            }
        }
    }
}
