//! Freeze windows of `guard.yaml`: the hours, days and dates at which less is done alone.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Findings;
use super::guard::is_kind;

const DAY_MINUTES: u16 = 24 * 60;

/// A time of the week, or a stretch of dates, or both: all that is given must hold.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeWindow {
    /// How it is called in the guard's answers.
    pub name: String,
    /// On these days; empty: every day. A window over midnight belongs to the day on which it begins.
    #[serde(default)]
    pub days: Vec<Day>,
    /// From this time of day, `HH:MM`.
    #[serde(default)]
    pub from: Clock,
    /// To this one, not included; not later than `from`: the next day's.
    #[serde(default = "midnight")]
    pub to: Clock,
    /// The first date, `2026-12-24`; absent: since ever.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub since: Option<Date>,
    /// The last date, included; absent: for ever.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub until: Option<Date>,
    /// `Europe/Berlin`, `+02:00`, or `UTC` where absent.
    #[serde(default)]
    pub timezone: Zone,
    /// Only for these kinds of action; empty: for all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What becomes of an action then.
    #[serde(default)]
    pub then: During,
}

/// What becomes of an action during a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum During {
    /// A person must agree.
    #[default]
    Ask,
    /// Nothing is done, whoever asks.
    Deny,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn is(self, weekday: Weekday) -> bool {
        // Monday is 1.
        self as i8 + 1 == weekday.to_monday_one_offset()
    }
}

/// A time of day, minutes since midnight; `24:00` is the end of the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Clock(u16);

fn midnight() -> Clock {
    Clock(DAY_MINUTES)
}

impl TryFrom<String> for Clock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time of day: write HH:MM, 00:00 to 24:00");
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let digits = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
        let (hours, minutes) = digits(hours).zip(digits(minutes)).ok_or_else(wrong)?;
        let all = hours * 60 + minutes;
        if minutes < 60 && all <= DAY_MINUTES { Ok(Self(all)) } else { Err(wrong()) }
    }
}

/// A time zone; read once, so that judging needs no file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let offset = || {
            let (sign, rest) = text.split_at_checked(1)?;
            let sign = match sign {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let Clock(minutes) = Clock::try_from(rest.to_owned()).ok()?;
            let seconds = sign * i32::from(minutes) * 60;
            jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
        };
        if let Some(fixed) = offset() {
            return Ok(Self(fixed));
        }
        TimeZone::get(&text)
            .map(Self)
            .map_err(|_| format!("{text:?} is no time zone: Europe/Berlin, +02:00, UTC"))
    }
}

impl FreezeWindow {
    /// Whether an action of this kind falls into it at `now_ms`.
    #[must_use]
    pub fn covers(&self, kind: &str, now_ms: i64) -> bool {
        let of_kind = self.kinds.is_empty() || self.kinds.iter().any(|k| k == kind);
        let Ok(now) = Timestamp::from_millisecond(now_ms) else { return of_kind };
        let local = now.to_zoned(self.timezone.0.clone());
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let today = local.date();
        let over_midnight = self.to <= self.from;
        let began_today = minute >= self.from.0 && (over_midnight || minute < self.to.0);
        let began_yesterday = over_midnight && minute < self.to.0;
        let yesterday = today.yesterday().unwrap_or(today);
        of_kind && ((began_today && self.on(today)) || (began_yesterday && self.on(yesterday)))
    }

    fn on(&self, date: Date) -> bool {
        let day = self.days.is_empty() || self.days.iter().any(|day| day.is(date.weekday()));
        day && self.since.is_none_or(|since| since <= date) && self.until.is_none_or(|until| date <= until)
    }

    pub(super) fn findings(&self, path: &str) -> Findings {
        let mut found = Findings::new();
        if let Some(kind) = self.kinds.iter().find(|kind| !is_kind(kind)) {
            found.push((format!("{path}/kinds"), format!("there is no action {kind:?}")));
        }
        if self.since.zip(self.until).is_some_and(|(since, until)| until < since) {
            found.push((format!("{path}/until"), "it ends before it begins".to_owned()));
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn window(json: serde_json::Value) -> FreezeWindow {
        serde_json::from_value(json).unwrap()
    }

    fn covers(window: &FreezeWindow, at: &str) -> bool {
        let at: Timestamp = at.parse().unwrap();
        window.covers("shed_load", at.as_millisecond())
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let friday_night = window(serde_json::json!({
            "name": "n", "days": ["fri"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"
        }));
        // Friday, 2026-07-03; Berlin is two hours ahead in summer.
        assert!(!covers(&friday_night, "2026-07-03T19:59:00Z"));
        assert!(covers(&friday_night, "2026-07-03T20:00:00Z"));
        assert!(covers(&friday_night, "2026-07-04T03:59:00Z"));
        assert!(!covers(&friday_night, "2026-07-04T04:00:00Z"));
        assert!(!covers(&friday_night, "2026-07-03T02:00:00Z"), "Thursday's night");
        // And one hour in winter.
        assert!(!covers(&friday_night, "2026-12-04T20:59:00Z"));
        assert!(covers(&friday_night, "2026-12-04T21:00:00Z"));
    }

    #[test]
    fn dates_are_whole_days_where_the_window_is() {
        let holidays = window(serde_json::json!({
            "name": "h", "since": "2026-12-24", "until": "2026-12-26", "timezone": "-05:00"
        }));
        assert!(!covers(&holidays, "2026-12-24T04:59:00Z"));
        assert!(covers(&holidays, "2026-12-24T05:00:00Z"));
        assert!(covers(&holidays, "2026-12-27T04:59:00Z"));
        assert!(!covers(&holidays, "2026-12-27T05:00:00Z"));
    }

    #[test]
    fn only_the_kinds_it_names() {
        let window = window(serde_json::json!({ "name": "k", "kinds": ["block_ips"] }));
        assert!(!window.covers("shed_load", 0) && window.covers("block_ips", 0));
    }

    #[test]
    fn what_is_no_time_no_zone_and_no_kind_is_refused() {
        for wrong in ["24:01", "7:00", "12", "12:60", "ab:cd"] {
            assert!(Clock::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(Zone::try_from("Mars/Olympus".to_owned()).is_err());
        let text =
            "freeze_windows:\n  - { name: a, kinds: [explode], since: 2026-02-01, until: 2026-01-01 }\n";
        let report = super::super::Policies::from_texts(&[("guard.yaml", text)]).unwrap_err().to_string();
        assert!(report.contains("explode") && report.contains("before it begins"), "{report}");
    }
}
