//! Slow start: the share of its weight that an endpoint gets which is new, or back.
//!
//! Envoy's rule: `max(10 %, (elapsed / window) ^ (1 / aggression))`. As in Envoy and HAProxy it holds for
//! the algorithms that go by weights at each request; a consistent hash keeps its table.

use crate::settings::SlowStart;

/// The least share, so that it is asked at all and can warm.
pub const LEAST: f64 = 0.1;
/// How often a rising share is worked out anew.
pub const STEP_MS: u64 = 100;

/// The share, 0.1 to 1, of an endpoint that has been there since `since_ms` (0: always).
#[must_use]
pub fn share(rule: Option<&SlowStart>, since_ms: u64, now_ms: u64) -> f64 {
    let Some(rule) = rule.filter(|_| since_ms > 0) else { return 1.0 };
    let elapsed_ms = now_ms.saturating_sub(since_ms) as f64;
    let risen = elapsed_ms / (rule.window.as_millis() as f64).max(1.0);
    if risen >= 1.0 { 1.0 } else { risen.powf(1.0 / rule.aggression).clamp(LEAST, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn rule(aggression: f64) -> SlowStart {
        SlowStart { window: Duration::from_secs(10), aggression }
    }

    #[test]
    fn the_share_rises_in_a_line_from_a_tenth_and_is_full_at_the_end() {
        let at = |ms: u64| share(Some(&rule(1.0)), 5_000, 5_000 + ms);
        let seen = [0, 500, 1_000, 5_000, 10_000, 60_000].map(at);
        assert_eq!(seen, [0.1, 0.1, 0.1, 0.5, 1.0, 1.0]);
        assert_eq!(share(Some(&rule(1.0)), 0, 1), 1.0);
        assert_eq!(share(None, 5_000, 5_000), 1.0);
    }

    proptest! {
        #[test]
        fn it_never_falls_and_more_aggression_is_never_slower(
            a in 0u64..12_000, b in 0u64..12_000, slow in 0.1f64..10.0, fast in 0.1f64..10.0
        ) {
            let at = |aggression: f64, ms| share(Some(&rule(aggression)), 1, 1 + ms);
            let (early, late) = (a.min(b), a.max(b));
            prop_assert!(at(slow, early) <= at(slow, late));
            prop_assert!(at(slow.min(fast), a) <= at(slow.max(fast), a) + 1e-12);
            prop_assert!((LEAST..=1.0).contains(&at(fast, a)));
        }
    }
}
