//! What will be asked of each service in the next quarter of an hour, with an interval: the last hours'
//! rate a minute beyond what day and week make of it, smoothed exponentially (ETS, by information
//! criterion with or without a damped trend), and the season of the minutes to come put back on.
//!
//! Pure but for `task`, and off the control loop: a fit takes milliseconds a service. What is done
//! by it before the load comes is the rules' (`ahead`).

mod minutes;
pub mod task;

use augurs::ets::AutoETS;
use augurs::{Fit as _, Predict as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use minutes::{KEPT, Minutes};

/// Minutes told ahead.
pub const HORIZON: usize = 15;
/// Minutes without which nothing is told.
const LEAST: usize = 12;
/// The share of minutes that fall into the interval.
pub const LEVEL: f64 = 0.9;
/// Below this rate a logarithm says nothing.
const LEAST_RPS: f64 = 0.1;
/// No forecast is further from the last hours' extremes than this factor.
const FARTHEST: f64 = 10.0;

/// What a forecast is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The service.
    pub service: String,
    /// End of the newest minute, seconds since the epoch.
    pub end_s: i64,
    /// Requests a second, minute by minute, oldest first.
    pub rates: Vec<f64>,
    /// What the season makes of each of those minutes, as a logarithm, and of the [`HORIZON`] after them.
    pub season: Vec<f64>,
}

/// The load to come, of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// The service.
    pub service: String,
    /// End of the newest minute it was made from, milliseconds since the epoch.
    pub at_ms: i64,
    /// The share of minutes that fall into the interval, 0 to 1.
    pub level: f64,
    /// The most of the minutes that it was made from, requests a second.
    #[serde(default)]
    pub most_rps: f64,
    /// The minutes to come, nearest first.
    pub minutes: Vec<Minute>,
}

/// One minute to come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Minute {
    /// Its end, milliseconds since the epoch.
    pub end_ms: i64,
    /// Requests a second, expected.
    pub expected_rps: f64,
    /// The interval's lower end.
    pub low_rps: f64,
    /// The interval's upper end.
    pub high_rps: f64,
}

/// The minutes after `history`; nothing when it is too short, or fits no model.
#[must_use]
pub fn forecast(history: &History) -> Option<Forecast> {
    let n = history.rates.len();
    if n < LEAST || history.season.len() != n + HORIZON {
        return None;
    }
    let log = |(rate, season): (&f64, &f64)| rate.max(LEAST_RPS).ln() - season;
    let level: Vec<f64> = history.rates.iter().zip(&history.season).map(log).collect();
    let (expected, low, high) = continued(&level)?;
    let known = |of: fn(f64, f64) -> f64, start: f64| history.rates.iter().copied().fold(start, of);
    let bounds = (known(f64::min, f64::MAX) / FARTHEST, known(f64::max, 0.0).max(LEAST_RPS) * FARTHEST);
    let minute = |ahead: usize| {
        let season = history.season.get(n + ahead)?;
        let rate = |log: &[f64]| {
            let rate = (log.get(ahead)? + season).exp();
            rate.is_finite().then(|| rate.clamp(bounds.0, bounds.1))
        };
        let end_ms = (history.end_s + 60 * (ahead as i64 + 1)) * 1_000;
        Some(Minute { end_ms, expected_rps: rate(&expected)?, low_rps: rate(&low)?, high_rps: rate(&high)? })
    };
    let minutes: Option<Vec<Minute>> = (0..HORIZON).map(minute).collect();
    let (service, at_ms) = (history.service.clone(), history.end_s * 1_000);
    Some(Forecast { service, at_ms, level: LEVEL, most_rps: known(f64::max, 0.0), minutes: minutes? })
}

type Lines = (Vec<f64>, Vec<f64>, Vec<f64>);

/// Expected, low and high for the values after `level`.
fn continued(level: &[f64]) -> Option<Lines> {
    let (first, rest) = level.split_first()?;
    // A series without any movement has no likelihood to be maximised.
    if rest.iter().all(|value| (value - first).abs() < 1e-9) {
        let same = vec![*first; HORIZON];
        return Some((same.clone(), same.clone(), same));
    }
    let model = AutoETS::new(1, "AZN").ok()?.damped(true).ok()?.fit(level).ok()?;
    let told = model.predict(HORIZON, LEVEL).ok()?;
    let interval = told.intervals?;
    Some((told.point, interval.lower, interval.upper))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn history(rate: impl Fn(usize) -> f64, season: impl Fn(usize) -> f64) -> History {
        History {
            service: "cart".into(),
            end_s: 6_000,
            rates: (0..100).map(rate).collect(),
            season: (0..100 + HORIZON).map(season).collect(),
        }
    }

    /// Noise without a generator: the fractional parts of multiples of the golden ratio, about -1 to 1.
    fn noise(n: usize) -> f64 {
        (n as f64 * 0.618_033_988_75).fract() * 2.0 - 1.0
    }

    #[test]
    fn steady_load_is_expected_to_stay_with_an_interval_that_holds_its_noise() {
        let told = forecast(&history(|n| 100.0 * (1.0 + 0.1 * noise(n)), |_| 0.0)).unwrap();
        assert_eq!((told.minutes.len(), told.at_ms), (HORIZON, 6_000_000));
        let last = told.minutes.last().unwrap();
        assert_eq!(last.end_ms, 6_900_000);
        assert!((90.0..110.0).contains(&last.expected_rps), "{last:?}");
        assert!((75.0..97.0).contains(&last.low_rps) && (103.0..130.0).contains(&last.high_rps), "{last:?}");
    }

    #[test]
    fn a_season_that_is_known_is_expected_before_it_shows() {
        // From minute 100 on twice as much is usual.
        let told =
            forecast(&history(|n| 50.0 + noise(n), |n| if n < 100 { 0.0 } else { 2.0_f64.ln() })).unwrap();
        assert!(told.minutes.iter().all(|m| (95.0..105.0).contains(&m.expected_rps)), "{told:?}");
    }

    #[test]
    fn a_rise_goes_on_for_a_while_and_not_for_ever() {
        let told = forecast(&history(|n| 50.0 + n as f64 + noise(n), |_| 0.0)).unwrap();
        let (first, last) = (told.minutes[0].expected_rps, told.minutes[HORIZON - 1].expected_rps);
        assert!(first > 145.0 && last >= first && last < 190.0, "{first} {last}");
    }

    #[test]
    fn too_little_is_no_forecast_and_nothing_at_all_is_one() {
        assert_eq!(forecast(&History { rates: vec![1.0; 5], ..history(|_| 1.0, |_| 0.0) }), None);
        let told = forecast(&history(|_| 0.0, |_| 0.0)).unwrap();
        assert!(told.minutes.iter().all(|m| m.expected_rps <= 0.2), "{told:?}");
    }
}
