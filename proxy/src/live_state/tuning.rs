//! What leases tune of a service: its timeout, its retries, its balancing. Of several leases of a kind the
//! strictest holds: the shortest timeout, the smallest budget; of algorithms the latest.

use std::time::Duration;

use protocol::action::ActionKind;

use crate::settings::{Algorithm, Retry, Service};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// By what an endpoint is chosen.
    pub algorithm: Algorithm,
    /// The request timeout that a lease has set.
    pub request_timeout: Option<Duration>,
    /// When a failed request is sent again; absent: never.
    pub retry: Option<Retry>,
}

impl Tuning {
    /// Of `service` under leases of these kinds, in the order in which they were applied.
    #[must_use]
    pub fn of(service: &Service, kinds: &[&ActionKind]) -> Self {
        let configured = Self {
            algorithm: service.balancing.algorithm,
            request_timeout: None,
            retry: service.retry.clone(),
        };
        let leased = kinds.iter().filter_map(|kind| Budget::of(kind)).reduce(Budget::strictest);
        let tuned = kinds.iter().fold(configured, |tuning, kind| tuning.with(kind));
        Self { retry: leased.map_or(tuned.retry.clone(), |budget| budget.in_force(tuned.retry)), ..tuned }
    }

    fn with(mut self, kind: &ActionKind) -> Self {
        match kind {
            ActionKind::SetTimeout { request_timeout_ms } => {
                let leased = Duration::from_millis(*request_timeout_ms);
                self.request_timeout = Some(self.request_timeout.map_or(leased, |other| other.min(leased)));
            }
            ActionKind::SetAlgorithm { algorithm } => {
                self.algorithm = Algorithm::named(algorithm).unwrap_or(self.algorithm);
            }
            _ => {}
        }
        self
    }
}

/// What a lease says of retries.
#[derive(Debug, Clone, Copy)]
struct Budget {
    ratio: f64,
    max_attempts: u32,
}

impl Budget {
    fn of(kind: &ActionKind) -> Option<Self> {
        match kind {
            ActionKind::SetRetryBudget { ratio, max_attempts } => {
                Some(Self { ratio: *ratio, max_attempts: *max_attempts })
            }
            _ => None,
        }
    }

    fn strictest(self, other: Self) -> Self {
        Self { ratio: self.ratio.min(other.ratio), max_attempts: self.max_attempts.min(other.max_attempts) }
    }

    /// The lease's numbers with the file's conditions, or the usual ones where the file has none. The
    /// reserve that the file grants beside the ratio would make a small ratio mean nothing: it goes, but
    /// for the smallest that lets a quiet service retry at all.
    fn in_force(self, configured: Option<Retry>) -> Option<Retry> {
        if self.max_attempts <= 1 || self.ratio <= 0.0 {
            return None;
        }
        let mut retry = configured.unwrap_or_else(Retry::by_default);
        retry.max_attempts = self.max_attempts;
        retry.budget.ratio = self.ratio;
        retry.budget.min_per_second = retry.budget.min_per_second.min(1);
        Some(retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::sample::service;

    #[test]
    fn of_several_leases_the_strictest_holds_and_of_algorithms_the_latest() {
        let cart = service("cart", &[("", 100)]);
        let timeout = |ms| ActionKind::SetTimeout { request_timeout_ms: ms };
        let algorithm = |name: &str| ActionKind::SetAlgorithm { algorithm: name.to_owned() };
        let kinds = [timeout(500), algorithm("random"), timeout(900), algorithm("least_connections")];
        let tuning = Tuning::of(&cart, &kinds.iter().collect::<Vec<_>>());
        assert_eq!(tuning.request_timeout, Some(Duration::from_millis(500)));
        assert_eq!(tuning.algorithm, Algorithm::LeastConnections);
        assert_eq!(Tuning::of(&cart, &[]).algorithm, cart.balancing.algorithm);
    }

    #[test]
    fn a_leased_budget_wins_over_the_files_and_one_of_nothing_means_no_retries() {
        let mut cart = service("cart", &[("", 100)]);
        let budget = |ratio, max_attempts| ActionKind::SetRetryBudget { ratio, max_attempts };
        let granted = Tuning::of(&cart, &[&budget(0.1, 2), &budget(0.3, 4)]).retry;
        assert_eq!(granted.as_ref().map(|r| (r.max_attempts, r.budget.ratio)), Some((2, 0.1)));
        cart.retry = Some(Retry { max_body_bytes: 7, ..Retry::by_default() });
        let kept = Tuning::of(&cart, &[&budget(0.1, 2)]).retry;
        assert_eq!(
            kept.map(|r| (r.max_attempts, r.max_body_bytes, r.budget.min_per_second)),
            Some((2, 7, 1))
        );
        assert_eq!(Tuning::of(&cart, &[&budget(0.0, 5)]).retry, None);
        assert_eq!(Tuning::of(&cart, &[&budget(0.5, 1)]).retry, None);
    }
}
