//! `rules.yaml`, `ahead`: a forecast becomes advice before its load is there. Pure; where nobody is sure that the load
//! comes, nothing is advised.

use protocol::action::ActionKind;
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::rules::{Advice, record};
use super::shift::{Shift, shift};
use super::{Circumstances, rfc3339};
use crate::domain::{CauseKind, Evidence, ProposedAction, Signal};
use crate::forecast::{Forecast, Minute};
use crate::learning::Learned;
use crate::policies::{AheadRule, Provision, RulesPolicy};

/// A forecast older than this tells nothing of what comes, milliseconds.
const FRESH_MS: i64 = 180_000;
/// Below this load nothing is provided for, requests a second.
const LEAST_RPS: f64 = 1.0;

/// What the rules advise before the load that `forecast` tells of, if anything.
#[must_use]
pub fn advise_ahead(
    forecast: &Forecast,
    rules: &RulesPolicy,
    now: &Circumstances,
    learned: &Learned,
) -> Option<Advice> {
    if !is_fresh(forecast, now.now_ms) || forecast.most_rps < LEAST_RPS {
        return None;
    }
    let peak = peak(forecast)?;
    rules.ahead.iter().find_map(|rule| by_rule(rule, forecast, peak, now, learned))
}

/// Whether what was provided for a surge above `base_rps` is needed no more: nothing like it is expected. `None`:
/// nobody can tell.
#[must_use]
pub fn surge_is_past(forecast: &Forecast, base_rps: f64, now_ms: i64) -> Option<bool> {
    let peak = peak(forecast).filter(|_| is_fresh(forecast, now_ms))?;
    Some(peak.expected_rps <= base_rps)
}

fn is_fresh(forecast: &Forecast, now_ms: i64) -> bool {
    (0..=FRESH_MS).contains(&(now_ms - forecast.at_ms))
}

fn peak(forecast: &Forecast) -> Option<&Minute> {
    forecast.minutes.iter().max_by(|a, b| a.expected_rps.total_cmp(&b.expected_rps))
}

fn by_rule(
    rule: &AheadRule,
    forecast: &Forecast,
    peak: &Minute,
    now: &Circumstances,
    learned: &Learned,
) -> Option<Advice> {
    let comes = chance_above(peak, rule.when.times * forecast.most_rps, forecast.level);
    if comes < rule.when.min_confidence {
        return None;
    }
    let (kind, lease_ms, wanted) = provided(&rule.propose, peak.expected_rps / forecast.most_rps, now)?;
    // What helps against too much load that is there helps before it is.
    let (name, cause) = (kind.name(), CauseKind::Overload);
    let said = comes * learned.helps(name, cause, rule.helps);
    // What the like did against other causes does not make the load come more surely.
    let confidence = learned.calibrated(name, said).min(said);
    Some(Advice {
        says: format!("{wanted}: {}", surge(forecast, peak)),
        action: ProposedAction { service: forecast.service.clone(), kind, lease_ms },
        confidence,
        said,
        speaker: format!("rule:{}", rule.name),
        abstained: record(learned, name, cause, confidence).into_iter().collect(),
        evidence: vec![evidence(forecast, peak)],
    })
}

/// What is done before `times` the load, the life of its leases, and in words. `None`: nothing is wanted, or nobody
/// can do it.
fn provided(provision: &Provision, times: f64, now: &Circumstances) -> Option<(ActionKind, u64, String)> {
    match *provision {
        Provision::Scale { at_most_times, lease_ms } => {
            let there = now.places.len();
            let replicas = scale(there, times, at_most_times).filter(|_| now.may_scale)?;
            let wanted = format!("scale to {replicas} replicas ({there} now)");
            Some((ActionKind::Scale { replicas }, lease_ms, wanted))
        }
        // Whatever else is done about the service, or should be, is more urgent.
        Provision::SetWeights { .. } if now.is_troubled => None,
        Provision::SetWeights { slower, at_least, lease_ms } => {
            let Shift { weights, says } = shift(now, slower, at_least)?;
            Some((ActionKind::SetWeights { weights }, lease_ms, says))
        }
    }
}

/// As many replicas more as the load is more: each bears what it has borne. `None`: none are wanted.
fn scale(there: usize, times: f64, at_most_times: f64) -> Option<u32> {
    // Counted endpoints times a bounded factor; f64 to u32 saturates.
    let replicas = (there as f64 * times.min(at_most_times)).ceil() as u32;
    (there > 0 && replicas as usize > there).then_some(replicas)
}

/// The probability of more than `level_rps`: the forecast's interval, which holds `level` of all minutes, read as that
/// of a log-normal distribution around what is expected.
fn chance_above(minute: &Minute, level_rps: f64, level: f64) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 0.0 };
    let width = normal.inverse_cdf(0.5 + level.clamp(0.0, 0.999) / 2.0);
    let deviation = ((minute.high_rps / minute.low_rps).ln() / (2.0 * width)).max(1e-6);
    let distance = (level_rps / minute.expected_rps).ln() / deviation;
    if distance.is_finite() { normal.sf(distance) } else { 0.0 }
}

fn evidence(forecast: &Forecast, peak: &Minute) -> Evidence {
    let ahead_s = (peak.end_ms - forecast.at_ms) / 1_000;
    Evidence {
        signal: Signal::Forecast,
        series: forecast.service.clone(),
        observed: peak.expected_rps,
        baseline: forecast.most_rps,
        requests: (peak.expected_rps * 60.0) as u64,
        window_s: u32::try_from(ahead_s).unwrap_or(0),
        since_ms: forecast.at_ms,
        log_e: 0.0,
    }
}

fn surge(forecast: &Forecast, peak: &Minute) -> String {
    format!(
        "{:.1} requests a second are forecast for {} ({:.1} to {:.1} in {:.0} of 100 cases); the most in the last hours \
         was {:.1}",
        peak.expected_rps,
        rfc3339(peak.end_ms),
        peak.low_rps,
        peak.high_rps,
        forecast.level * 100.0,
        forecast.most_rps
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use protocol::snapshot::Health;

    use super::*;
    use crate::guard::capacity::Place;
    use crate::policies::Policies;

    fn forecast(expected: f64, low: f64, high: f64) -> Forecast {
        let minute = |n: i64, part: f64| Minute {
            end_ms: 60_000 * (n + 1),
            expected_rps: expected * part,
            low_rps: low * part,
            high_rps: high * part,
        };
        let minutes = vec![minute(0, 0.6), minute(1, 0.8), minute(2, 1.0)];
        Forecast { service: "cart".into(), at_ms: 0, level: 0.9, most_rps: 100.0, minutes }
    }

    fn replicas(forecast: &Forecast, there: usize, now_ms: i64) -> Option<(u32, f64)> {
        let place =
            Place { weight: 1.0, now: 1.0, version: "v1".into(), health: Health::Unknown, serving: true };
        let places = (0..there).map(|n| (n.to_string(), place.clone())).collect();
        let now = Circumstances { now_ms, places, may_scale: true, ..Circumstances::default() };
        let rules = Policies::shipped().unwrap().rules;
        let advice = advise_ahead(forecast, &rules, &now, &Learned::default())?;
        match advice.action.kind {
            ActionKind::Scale { replicas } => Some((replicas, advice.confidence)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn as_many_replicas_more_are_wanted_as_the_load_is_more_and_never_more_than_the_rule_says() {
        let (wanted, confidence) = replicas(&forecast(160.0, 140.0, 185.0), 4, 0).unwrap();
        assert_eq!(wanted, 7, "four bear 100");
        assert!(
            (0.85..0.91).contains(&confidence),
            "it comes surely and helps nine times of ten: {confidence}"
        );
        assert_eq!(replicas(&forecast(900.0, 800.0, 1_000.0), 4, 0).unwrap().0, 8);
    }

    #[test]
    fn nothing_is_wanted_before_load_that_may_not_come_or_that_nobody_tells_of_any_more() {
        assert_eq!(replicas(&forecast(120.0, 110.0, 130.0), 4, 0), None, "no surge");
        assert_eq!(replicas(&forecast(160.0, 40.0, 640.0), 4, 0), None, "anything may come");
        assert_eq!(replicas(&forecast(160.0, 140.0, 185.0), 4, 200_000), None, "an old forecast");
        assert_eq!(replicas(&forecast(160.0, 140.0, 185.0), 0, 0), None, "nobody knows what there is");
        let little = Forecast { most_rps: 0.5, ..forecast(5.0, 4.0, 6.0) };
        assert_eq!(replicas(&little, 4, 0), None, "hardly any load");
    }

    #[test]
    fn a_surge_is_past_when_no_more_is_expected_than_was_borne_before_it() {
        let told = forecast(160.0, 140.0, 185.0);
        assert_eq!(surge_is_past(&told, 100.0, 0), Some(false));
        assert_eq!(surge_is_past(&told, 170.0, 0), Some(true));
        assert_eq!(surge_is_past(&told, 170.0, 200_000), None);
    }
}
