//! The breaker as a whole.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const RULES: Rules = Rules {
    settings: Some(settings::Breaker {
        failure_threshold: 3,
        recovery_timeout: Duration::from_millis(1_000),
        half_open_max_calls: 2,
        success_threshold: 2,
        rate: None,
    }),
    held: HeldBreaker::Free,
};

fn opened_at(now_ms: u64) -> Breaker {
    let breaker = Breaker::default();
    for _ in 0..3 {
        let ticket = breaker.admit(&RULES, now_ms).unwrap();
        breaker.settle(ticket, false, &RULES, now_ms);
    }
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
    breaker
}

#[test]
fn only_consecutive_failures_open_it() {
    let breaker = Breaker::default();
    for succeeded in [false, false, true, false, false] {
        breaker.settle(FLOW, succeeded, &RULES, 5);
    }
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
    breaker.settle(FLOW, false, &RULES, 5);
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
    assert_eq!(breaker.admit(&RULES, 1_004), None);
}

#[test]
fn after_the_recovery_timeout_bounded_probes_close_it() {
    let breaker = opened_at(7);
    let first = breaker.admit(&RULES, 1_007).unwrap();
    let second = breaker.admit(&RULES, 1_007).unwrap();
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::HalfOpen);
    assert!(breaker.admit(&RULES, 1_007).is_none());
    breaker.settle(first, true, &RULES, 1_008);
    breaker.settle(second, true, &RULES, 1_008);
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_it_again_and_late_probes_of_that_period_change_nothing() {
    let breaker = opened_at(0);
    let first = breaker.admit(&RULES, 1_000).unwrap();
    let late = breaker.admit(&RULES, 1_000).unwrap();
    breaker.settle(first, false, &RULES, 1_100);
    assert_eq!(breaker.admit(&RULES, 2_099), None);
    let probe = breaker.admit(&RULES, 2_100).unwrap();
    breaker.settle(late, false, &RULES, 2_101);
    breaker.release(late);
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::HalfOpen);
    assert_ne!(probe, late);
    assert!(breaker.admit(&RULES, 2_102).is_some());
    assert!(breaker.admit(&RULES, 2_102).is_none());
}

#[test]
fn an_abandoned_probe_gives_its_place_back() {
    let breaker = opened_at(0);
    let probes = [breaker.admit(&RULES, 1_000).unwrap(), breaker.admit(&RULES, 1_000).unwrap()];
    assert!(!breaker.would_admit(&RULES, 1_000));
    probes.into_iter().for_each(|probe| breaker.release(probe));
    assert!(breaker.would_admit(&RULES, 1_000));
}

#[test]
fn a_lease_holds_it_open_or_closed() {
    let breaker = Breaker::default();
    let open = Rules { held: HeldBreaker::Open, ..RULES };
    let closed = Rules { held: HeldBreaker::Closed, ..RULES };
    assert_eq!(breaker.admit(&open, 0), None);
    assert_eq!(breaker.state(HeldBreaker::Open), BreakerState::Open);
    let tripped = opened_at(0);
    let ticket = tripped.admit(&closed, 1).unwrap();
    tripped.settle(ticket, false, &closed, 1);
    assert_eq!(tripped.state(HeldBreaker::Free), BreakerState::Closed);
}

proptest! {
    #[test]
    fn whatever_happens_probes_stay_bounded_and_none_is_lost(
        steps in proptest::collection::vec((0u8..4, 0u64..2_000), 1..200)
    ) {
        let breaker = Breaker::default();
        let (mut now_ms, mut held) = (0, Vec::new());
        for (step, pause_ms) in steps {
            now_ms += pause_ms;
            match (step, held.pop()) {
                (0 | 1, Some(ticket)) => breaker.settle(ticket, step == 0, &RULES, now_ms),
                (2, Some(ticket)) => breaker.release(ticket),
                (_, back) => {
                    held.extend(back);
                    held.extend(breaker.admit(&RULES, now_ms));
                }
            }
            let word = breaker.load();
            let of_now = |t: &&Ticket| **t == Ticket::Probe { opened_ms: word.opened_ms };
            prop_assert!(word.probes <= 2);
            if word.state == BreakerState::HalfOpen {
                prop_assert_eq!(usize::from(word.probes), held.iter().filter(of_now).count());
            }
        }
    }
}

const FLOW: Ticket = Ticket::Flow { opened_ms: 0 };
const BY_RATE: Rules = Rules {
    settings: Some(settings::Breaker {
        failure_threshold: 1_000,
        recovery_timeout: Duration::from_millis(1_000),
        half_open_max_calls: 2,
        success_threshold: 2,
        rate: Some(settings::FailureRate { rate: 0.5, requests: Some(20), duration: None, min_requests: 20 }),
    }),
    held: HeldBreaker::Free,
};

#[test]
fn half_of_twenty_opens_it_and_what_was_before_is_forgotten_when_it_closes() {
    let breaker = Breaker::default();
    for n in 0..20 {
        assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed, "{n}");
        let ticket = breaker.admit(&BY_RATE, 10).unwrap();
        breaker.settle(ticket, n % 2 == 0, &BY_RATE, 10);
    }
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
    for _ in 0..2 {
        let probe = breaker.admit(&BY_RATE, 1_010).unwrap();
        breaker.settle(probe, true, &BY_RATE, 1_010);
    }
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
    for _ in 0..19 {
        let ticket = breaker.admit(&BY_RATE, 1_011).unwrap();
        breaker.settle(ticket, false, &BY_RATE, 1_011);
    }
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
}

#[test]
fn what_was_sent_before_an_opening_changes_nothing_after_it() {
    let breaker = Breaker::default();
    let stale: Vec<Ticket> = (0..10).map(|_| breaker.admit(&RULES, 1).unwrap()).collect();
    stale.iter().take(3).for_each(|ticket| breaker.settle(*ticket, false, &RULES, 7));
    breaker.settle(stale[3], true, &RULES, 8);
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Open);
    for _ in 0..2 {
        let probe = breaker.admit(&RULES, 1_007).unwrap();
        breaker.settle(stale[4], false, &RULES, 1_007);
        breaker.settle(probe, true, &RULES, 1_008);
    }
    stale[5..].iter().for_each(|ticket| breaker.settle(*ticket, false, &RULES, 1_009));
    assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
}

proptest! {
    #[test]
    fn once_open_it_is_always_half_open_in_the_end_and_closes_if_all_is_well(
        results in proptest::collection::vec((any::<bool>(), 0u64..500), 0..200), by_rate: bool
    ) {
        let rules = if by_rate { BY_RATE } else { RULES };
        let (breaker, mut now_ms) = (Breaker::default(), 1);
        for (succeeded, pause_ms) in results {
            now_ms += pause_ms;
            if let Some(ticket) = breaker.admit(&rules, now_ms) {
                breaker.settle(ticket, succeeded, &rules, now_ms);
            }
        }
        now_ms += 1_000;
        prop_assert!(breaker.would_admit(&rules, now_ms));
        prop_assert!(breaker.shut_until_ms(&rules).is_none_or(|until| until <= now_ms));
        // One success may still complete a window that is full of failures.
        for _ in 0..14 {
            now_ms += 1_000;
            let ticket = breaker.admit(&rules, now_ms).unwrap();
            breaker.settle(ticket, true, &rules, now_ms);
        }
        prop_assert_eq!(breaker.state(HeldBreaker::Free), BreakerState::Closed);
    }
}
