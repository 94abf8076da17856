//! From what is in use to what is to be done: plain arithmetic.

use serde::Serialize;

use crate::settings::OverloadBounds;

/// A level once reached is left so far below its bound, so that it does not flicker.
const SLACK: f64 = 0.05;

/// What is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm = 0,
    /// New requests are answered 503, idle connections closed.
    Sheds = 1,
    /// New connections are closed at once, too.
    Stops = 2,
}

/// How much there is, and how much of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// In use.
    pub used: u64,
    /// The bound.
    pub most: u64,
}

impl Usage {
    /// In use of the bound, from 0.
    #[must_use]
    pub fn share(self) -> f64 {
        self.used as f64 / self.most.max(1) as f64
    }
}

/// One look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pressure {
    /// What is done about it.
    pub level: Level,
    /// Resident memory, bytes; absent where nothing bounds it.
    pub memory: Option<Usage>,
    /// File descriptors; absent where they cannot be counted.
    pub descriptors: Option<Usage>,
}

impl Pressure {
    /// This use, under these bounds, after that level.
    pub(super) fn judge(
        memory: Option<Usage>,
        descriptors: Option<Usage>,
        bounds: &OverloadBounds,
        before: Level,
    ) -> Self {
        let worst = [memory, descriptors].into_iter().flatten().map(Usage::share).fold(0.0, f64::max);
        let reached = |level, at| worst >= if before >= level { at - SLACK } else { at };
        let level = if reached(Level::Stops, bounds.stop_at) {
            Level::Stops
        } else if reached(Level::Sheds, bounds.shed_at) {
            Level::Sheds
        } else {
            Level::Calm
        };
        Self { level, memory, descriptors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: OverloadBounds = OverloadBounds { max_memory_bytes: None, shed_at: 0.8, stop_at: 0.9 };

    fn level(memory: u64, descriptors: u64, before: Level) -> Level {
        let of = |used| Some(Usage { used, most: 100 });
        Pressure::judge(of(memory), of(descriptors), &BOUNDS, before).level
    }

    #[test]
    fn the_scarcer_of_the_two_decides() {
        assert_eq!(level(79, 10, Level::Calm), Level::Calm);
        assert_eq!(level(80, 10, Level::Calm), Level::Sheds);
        assert_eq!(level(10, 90, Level::Calm), Level::Stops);
        assert_eq!(Pressure::judge(None, None, &BOUNDS, Level::Stops).level, Level::Calm);
    }

    #[test]
    fn a_level_is_left_only_well_below_where_it_was_reached() {
        assert_eq!(level(86, 0, Level::Stops), Level::Stops);
        assert_eq!(level(84, 0, Level::Stops), Level::Sheds);
        assert_eq!(level(76, 0, Level::Sheds), Level::Sheds);
        assert_eq!(level(74, 0, Level::Sheds), Level::Calm);
    }
}
