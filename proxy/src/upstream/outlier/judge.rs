//! Who is out, who comes back: pure functions of what was counted and of the time.
//!
//! Envoy's rules: so many failures in a row, or a success rate more than 1.9 standard deviations below
//! the mean of all that had enough requests; an ejection lasts the base time once more than it has been
//! out lately, up to a cap; each interval without one takes one of them back. At most a share is out at
//! once, of which one always may be (Envoy's older rule, HAProxy has none), and one endpoint always stays.

use crate::settings::Outliers;

use super::tally::Cause;

/// One endpoint, as counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Whether decisions give it traffic; who has none is neither ejected nor counted.
    pub serves: bool,
    /// Until when it is out; 0: it is not.
    pub until_ms: u64,
    /// Ejections in short succession.
    pub times: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Gateway failures in a row.
    pub gateway_failures: u32,
    /// Of the interval that is over, where one is: successes, and all.
    pub interval: Option<(u32, u32)>,
}

/// What becomes of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it is.
    Stays,
    /// Out.
    Ejected {
        /// Why.
        cause: Cause,
        /// Until when.
        until_ms: u64,
    },
    /// In again.
    Back,
    /// One of its ejections is forgotten.
    Forgiven,
}

/// See the module.
#[must_use]
pub fn judge(readings: &[Reading], rule: &Outliers, now_ms: u64) -> Vec<Verdict> {
    let is_back = |reading: &Reading| reading.until_ms > 0 && reading.until_ms <= now_ms;
    let mut verdicts: Vec<Verdict> = readings
        .iter()
        .map(|reading| match reading {
            reading if is_back(reading) => Verdict::Back,
            reading if reading.until_ms == 0 && reading.times > 0 && reading.interval.is_some() => {
                Verdict::Forgiven
            }
            _ => Verdict::Stays,
        })
        .collect();
    let all = readings.iter().filter(|reading| reading.serves).count();
    let out = |reading: &&Reading| reading.serves && reading.until_ms > now_ms;
    let mut out = readings.iter().filter(out).count();
    for (at, cause) in suspects(readings, rule) {
        let room = out == 0 || (out + 1) * 100 <= all * rule.max_percent as usize;
        if !room || out + 1 >= all {
            break;
        }
        if let (Some(verdict), Some(reading)) = (verdicts.get_mut(at), readings.get(at)) {
            *verdict =
                Verdict::Ejected { cause, until_ms: now_ms.saturating_add(length_ms(rule, reading.times)) };
            out += 1;
        }
    }
    verdicts
}

fn length_ms(rule: &Outliers, times: u32) -> u64 {
    let length = rule.base.saturating_mul(times.saturating_add(1)).min(rule.longest);
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Who should be out, the worst first.
fn suspects(readings: &[Reading], rule: &Outliers) -> Vec<(usize, Cause)> {
    let reached = |count: u32, limit: u32| limit > 0 && count >= limit;
    let candidates = || readings.iter().enumerate().filter(|(_, r)| r.serves && r.until_ms == 0);
    let mut found: Vec<(usize, Cause, f64)> = candidates()
        .filter_map(|(at, r)| {
            let cause = match (
                reached(r.failures, rule.consecutive_5xx),
                reached(r.gateway_failures, rule.consecutive_gateway),
            ) {
                (true, _) => Cause::Consecutive5xx,
                (_, true) => Cause::ConsecutiveGateway,
                _ => return None,
            };
            Some((at, cause, f64::from(r.failures)))
        })
        .collect();
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    let known: Vec<usize> = found.iter().map(|(at, ..)| *at).collect();
    let slow = behind(readings, rule).into_iter().filter(|at| !known.contains(at));
    let in_a_row = found.iter().map(|(at, cause, _)| (*at, *cause));
    in_a_row.chain(slow.map(|at| (at, Cause::SuccessRate))).collect()
}

/// Whose success rate is too far below the mean, the worst first.
fn behind(readings: &[Reading], rule: &Outliers) -> Vec<usize> {
    let rate = |reading: &Reading| {
        let (succeeded, all) = reading.interval.filter(|(_, all)| *all >= rule.min_requests)?;
        (reading.serves && reading.until_ms == 0).then(|| f64::from(succeeded) / f64::from(all.max(1)))
    };
    let mut rates: Vec<(usize, f64)> =
        readings.iter().enumerate().filter_map(|(at, r)| rate(r).map(|rate| (at, rate))).collect();
    if rule.deviations <= 0.0 || rates.len() < rule.min_endpoints as usize {
        return Vec::new();
    }
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let least = mean - rule.deviations * variance.sqrt();
    rates.retain(|(_, rate)| *rate < least);
    rates.sort_by(|a, b| a.1.total_cmp(&b.1));
    rates.into_iter().map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const RULE: Outliers = Outliers {
        consecutive_5xx: 5,
        consecutive_gateway: 3,
        interval: Duration::from_secs(10),
        base: Duration::from_secs(30),
        longest: Duration::from_secs(100),
        max_percent: 50,
        deviations: 1.9,
        min_endpoints: 5,
        min_requests: 100,
    };
    const WELL: Reading =
        Reading { serves: true, until_ms: 0, times: 0, failures: 0, gateway_failures: 0, interval: None };
    const BAD: Reading = Reading { failures: 5, ..WELL };

    fn out(cause: Cause, until_ms: u64) -> Verdict {
        Verdict::Ejected { cause, until_ms }
    }

    #[test]
    fn ejections_grow_up_to_the_cap_and_end_by_time() {
        for (times, length_ms) in [(0, 30_000), (1, 60_000), (2, 90_000), (3, 100_000), (u32::MAX, 100_000)] {
            let verdicts = judge(&[Reading { times, ..BAD }, WELL], &RULE, 7);
            assert_eq!(verdicts[0], out(Cause::Consecutive5xx, 7 + length_ms));
        }
        let away = Reading { until_ms: 1_000, times: 2, ..BAD };
        assert_eq!(judge(&[away, WELL], &RULE, 999)[0], Verdict::Stays);
        assert_eq!(judge(&[away, WELL], &RULE, 1_000)[0], Verdict::Back);
        let good_since = Reading { times: 2, interval: Some((10, 10)), ..WELL };
        assert_eq!(judge(&[good_since, WELL], &RULE, 5)[0], Verdict::Forgiven);
    }

    #[test]
    fn one_may_always_be_out_and_one_always_stays() {
        let strict = Outliers { max_percent: 0, ..RULE };
        let outs = |readings: &[Reading], rule| {
            let verdicts = judge(readings, rule, 1);
            verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Ejected { .. })).count()
        };
        assert_eq!(outs(&[BAD, BAD, BAD], &strict), 1);
        assert_eq!(outs(&[BAD], &Outliers { max_percent: 100, ..RULE }), 0);
        assert_eq!(outs(&[BAD; 4], &RULE), 2);
        assert_eq!(outs(&[BAD; 4], &Outliers { max_percent: 100, ..RULE }), 3);
        assert_eq!(outs(&[BAD, Reading { serves: false, ..WELL }], &RULE), 0);
    }

    #[test]
    fn a_success_rate_far_below_the_others_ejects_where_there_is_enough_to_compare() {
        let of = |succeeded| Reading { interval: Some((succeeded, 200)), ..WELL };
        let mut readings = vec![of(200); 9];
        readings.push(of(150));
        assert_eq!(judge(&readings, &RULE, 1)[9], out(Cause::SuccessRate, 30_001));
        assert!(
            judge(&readings, &Outliers { min_requests: 201, ..RULE }, 1).iter().all(|v| *v == Verdict::Stays)
        );
        assert!(judge(&readings[6..], &RULE, 1).iter().all(|v| *v == Verdict::Stays));
    }

    proptest! {
        #[test]
        fn the_share_that_is_out_is_bounded(
            states in prop::collection::vec((any::<bool>(), 0u64..3, 0u32..8, 0u32..=300), 1..20),
            percent in 0u32..=100
        ) {
            let reading = |(serves, until, failures, succeeded): &(bool, u64, u32, u32)| Reading {
                serves: *serves,
                until_ms: until * 1_000,
                failures: *failures,
                interval: Some((*succeeded, 300)),
                ..WELL
            };
            let readings: Vec<Reading> = states.iter().map(reading).collect();
            let rule = Outliers { max_percent: percent, ..RULE };
            let verdicts = judge(&readings, &rule, 1_500);
            let serving = readings.iter().filter(|r| r.serves).count();
            let before = readings.iter().filter(|r| r.serves && r.until_ms > 1_500).count();
            let new = verdicts.iter().filter(|v| matches!(v, Verdict::Ejected { .. })).count();
            prop_assert!(new == 0 || before + new < serving);
            prop_assert!(new == 0 || before + new == 1 || (before + new) * 100 <= serving * percent as usize);
        }
    }
}
