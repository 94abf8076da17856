//! What a service's rate usually does over the day and over the week: how far its logarithm lies above or
//! below the service's own level at each quarter of an hour, and at each hour of the week beyond that.
//!
//! Damped: a bucket seen once counts half, so that one odd day is no season; nothing is said before a whole
//! day was seen. 1.6 kilobytes a service, O(1) a lesson. Times are UTC; a summer time moves the profile by an hour
//! within some days.

use serde::{Deserialize, Serialize};

const DAY_S: i64 = 86_400;
const QUARTER_S: i64 = 900;
const HOUR_S: i64 = 3_600;
const QUARTERS: usize = 96;
const HOURS: usize = 168;
/// Visits after which a bucket goes on forgetting at this pace: some days, some weeks.
const MOST_DAYS: f32 = 8.0;
const MOST_WEEKS: f32 = 4.0;
/// One lesson is not further off than this factor's logarithm (2.7-fold): a flash crowd is no season.
const WINSOR: f32 = 1.0;
/// Buckets of the day that must be known before the profile speaks.
const ENOUGH: usize = 90;

/// One bucket: the mean offset of the log rate, and how often it was visited.
type Bucket = (f32, f32);

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Season {
    day: Vec<Bucket>,
    week: Vec<Bucket>,
    /// Mean log rate over about a day, what the offsets are measured from; 0 on the first day.
    level: f64,
    /// Quarters seen.
    learned: f64,
    /// The bucket that is being filled: which quarter since 1970, sum of log rates, how many.
    open: (i64, f64, u32),
}

impl Default for Season {
    fn default() -> Self {
        Self {
            day: vec![(0.0, 0.0); QUARTERS],
            week: vec![(0.0, 0.0); HOURS],
            level: 0.0,
            learned: 0.0,
            open: (i64::MIN, 0.0, 0),
        }
    }
}

impl Season {
    /// A quiet stretch that ended in `second` had so many requests a second.
    pub fn learn(&mut self, second: i64, rate: f64) {
        let quarter = second.div_euclid(QUARTER_S);
        if quarter != self.open.0 {
            self.close();
            self.open = (quarter, 0.0, 0);
        }
        self.open.1 += rate.max(0.1).ln();
        self.open.2 += 1;
    }

    fn close(&mut self) {
        let (quarter, sum, n) = self.open;
        if n == 0 || self.day.len() != QUARTERS || self.week.len() != HOURS {
            return;
        }
        let log = sum / f64::from(n);
        let at = quarter * QUARTER_S;
        let (day, week) = (slot(at, DAY_S, QUARTER_S), slot(at, 7 * DAY_S, HOUR_S));
        let off = (log - self.level) as f32;
        let known = self.day[day].0;
        teach(&mut self.day[day], off, MOST_DAYS);
        self.learned += 1.0;
        if self.learned > QUARTERS as f64 {
            // Slowly: a level that followed the day would take the day out of the offsets.
            self.level += (log - self.level) / (7 * QUARTERS) as f64;
            teach(&mut self.week[week], off - known, MOST_WEEKS * (HOUR_S / QUARTER_S) as f32);
        } else if self.learned > QUARTERS as f64 - 1.0 {
            self.find_level();
        }
    }

    /// After the first day: what was learned as it is becomes offsets from its mean.
    fn find_level(&mut self) {
        let seen = self.day.iter().filter(|(_, visits)| *visits > 0.0);
        let (sum, n) = seen.fold((0.0, 0.0), |(sum, n), (log, _)| (sum + f64::from(*log), n + 1.0f64));
        self.level = sum / n.max(1.0);
        for (off, _) in self.day.iter_mut().filter(|(_, visits)| *visits > 0.0) {
            *off -= self.level as f32;
        }
    }

    /// Whether a whole day was seen.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.learned >= QUARTERS as f64
            && self.day.iter().filter(|(_, visits)| *visits > 0.0).count() >= ENOUGH
    }

    /// How far the log rate of `second` usually lies from the service's level, between the middles of
    /// buckets; 0 before a whole day was seen.
    #[must_use]
    pub fn offset(&self, second: i64) -> f64 {
        if !self.is_known() {
            return 0.0;
        }
        let before = second - QUARTER_S / 2;
        let part = before.rem_euclid(QUARTER_S) as f64 / QUARTER_S as f64;
        self.at(before) * (1.0 - part) + self.at(before + QUARTER_S) * part
    }

    fn at(&self, second: i64) -> f64 {
        let (day, visits) = self.day[slot(second, DAY_S, QUARTER_S)];
        let (week, hours) = self.week[slot(second, 7 * DAY_S, HOUR_S)];
        // The week is asked from the second week on.
        let weeks = (hours / (HOUR_S / QUARTER_S) as f32 - 1.0).max(0.0);
        f64::from(day * visits / (visits + 1.0) + week * weeks / (weeks + 1.0))
    }
}

fn slot(second: i64, period_s: i64, bucket_s: i64) -> usize {
    // The quotient is within the period.
    (second.rem_euclid(period_s) / bucket_s) as usize
}

fn teach(bucket: &mut Bucket, off: f32, most: f32) {
    let (mean, visits) = *bucket;
    let off = if visits > 0.0 { off.clamp(mean - WINSOR, mean + WINSOR) } else { off };
    let visits = (visits + 1.0).min(most);
    *bucket = (mean + (off - mean) / visits, visits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(second: i64) -> f64 {
        100.0 * (1.0 - 0.6 * (second as f64 / 86_400.0 * std::f64::consts::TAU).cos())
    }

    fn learned(days: i64, rate: impl Fn(i64) -> f64) -> Season {
        let mut season = Season::default();
        (0..days * 8_640).map(|n| n * 10).for_each(|second| season.learn(second, rate(second)));
        season
    }

    #[test]
    fn the_hours_of_the_day_are_learned_within_days_and_not_before_one() {
        assert!(learned(0, rate).offset(50_000).abs() < 1e-9);
        let season = learned(6, rate);
        let told = |from: i64, to: i64| season.offset(to) - season.offset(from);
        let true_change = (rate(43_200) / rate(21_600)).ln();
        assert!((told(21_600, 43_200) - true_change).abs() < 0.2 * true_change, "{}", told(21_600, 43_200));
        assert!(told(0, 43_200) > 1.0, "{}", told(0, 43_200));
    }

    #[test]
    fn a_sunday_is_told_from_other_days_after_some_weeks() {
        let on_sunday = |second: i64| (second / 86_400) % 7 == 3;
        let season = learned(28, |second| if on_sunday(second) { 0.3 } else { 1.0 } * rate(second));
        let (sunday, monday) = (season.offset(3 * 86_400 + 43_200), season.offset(4 * 86_400 + 43_200));
        assert!(sunday < monday - 0.5, "{sunday} {monday}");
    }

    #[test]
    fn one_flash_crowd_is_no_season() {
        let season = learned(6, |second| if (300_000..303_600).contains(&second) { 50.0 } else { 1.0 });
        assert!(season.offset(300_000 - 259_200 + 1_800).abs() < 0.3);
    }
}
