//! Which part of the traffic stays in the proxy's own zone.
//!
//! Envoy's rule for priorities: a zone counts as able to carry `1.4 ×` the share of its weight that is
//! healthy, so that it keeps everything down to 5 healthy endpoints in 7, and beyond that hands on in
//! proportion. Envoy's 1.4 is a constant here.

/// How much more than its healthy share a zone is trusted with.
pub const OVERPROVISIONING: f64 = 1.4;

/// One zone's weight, or all others'.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Capacity {
    /// As configured.
    pub configured: f64,
    /// Of it, what may be asked now.
    pub available: f64,
}

impl Capacity {
    fn carries(self) -> f64 {
        if self.configured <= 0.0 {
            return 0.0;
        }
        (OVERPROVISIONING * self.available / self.configured).min(1.0)
    }
}

/// The share, 0 to 1, that goes to the own zone.
#[must_use]
pub fn local_share(local: Capacity, others: Capacity) -> f64 {
    let (own, rest) = (local.carries(), others.carries());
    if rest <= 0.0 {
        return 1.0;
    }
    // What neither can carry is divided as what both can.
    let taken = rest.min(1.0 - own);
    if own + taken <= 0.0 { 1.0 } else { own / (own + taken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(local: (f64, f64), others: (f64, f64)) -> f64 {
        let of = |(configured, available)| Capacity { configured, available };
        local_share(of(local), of(others))
    }

    #[test]
    fn a_zone_keeps_all_down_to_five_of_seven_then_hands_on_in_proportion() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(share((700.0, 500.0), (700.0, 700.0)), 1.0);
        close(share((200.0, 100.0), (700.0, 700.0)), 0.7);
        close(share((200.0, 0.0), (700.0, 700.0)), 0.0);
        close(share((0.0, 0.0), (700.0, 10.0)), 0.0);
        close(share((200.0, 50.0), (0.0, 0.0)), 1.0);
        close(share((200.0, 50.0), (100.0, 0.0)), 1.0);
        // Neither has enough: 35 % and 35 %.
        close(share((400.0, 100.0), (400.0, 100.0)), 0.5);
    }

    proptest! {
        #[test]
        fn a_healthier_zone_never_hands_on_more(
            configured in 1.0f64..1_000.0, a in 0.0f64..=1.0, b in 0.0f64..=1.0, others in 0.0f64..=1.0
        ) {
            let at = |part: f64| share((configured, configured * part), (100.0, 100.0 * others));
            prop_assert!(at(a.min(b)) <= at(a.max(b)) + 1e-9);
            prop_assert!((0.0..=1.0).contains(&at(a)));
        }
    }
}
