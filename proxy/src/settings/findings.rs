//! What is impossible in a document, collected so that one report names it all.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::document::pointer_step;
use protocol::id::check_name;

/// The longest duration that may be written: a day.
const MAX_MS: u64 = 86_400_000;

/// Pairs of a JSON pointer and what is wrong there.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<(String, String)>);

impl Findings {
    pub(super) fn add(&mut self, at: &Place, message: impl Into<String>) {
        self.0.push((at.0.clone(), message.into()));
    }

    pub(super) fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Reports a value outside `range`.
    pub(super) fn range<T: PartialOrd + Display>(&mut self, at: &Place, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let message = format!("{value} is out of range: {} to {}", range.start(), range.end());
            self.add(at, message);
        }
    }

    /// A duration of at least `min_ms` and at most a day.
    pub(super) fn duration(&mut self, at: &Place, ms: u64, min_ms: u64) -> Duration {
        if !(min_ms..=MAX_MS).contains(&ms) {
            self.add(at, format!("{ms} ms is impossible: {min_ms} to {MAX_MS} ms"));
        }
        Duration::from_millis(ms)
    }

    /// A part that may not outlast the whole: given, or `default` cut to the whole.
    pub(super) fn part(
        &mut self,
        at: &Place,
        given: Option<u64>,
        default: u64,
        whole: (&str, u64),
    ) -> Duration {
        let ms = given.unwrap_or_else(|| default.min(whole.1));
        if given.is_some() && ms > whole.1 {
            self.add(at, format!("{ms} ms is longer than {} ({} ms)", whole.0, whole.1));
        }
        self.duration(at, ms, 1)
    }

    /// Reports text that is not fit to be a label.
    pub(super) fn name(&mut self, at: &Place, name: &str) {
        if let Err(why) = check_name(name) {
            self.add(at, why.to_string());
        }
    }
}

/// A JSON pointer being built.
#[derive(Debug, Clone, Default)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// One step further.
    #[must_use]
    pub(super) fn at(&self, key: impl Display) -> Self {
        Self(format!("{}{}", self.0, pointer_step(&key.to_string())))
    }
}
