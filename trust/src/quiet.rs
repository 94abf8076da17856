//! At most one line a second into the log, so that whoever fails in a loop fills no disk.

use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// Counts what is not told.
#[derive(Debug, Default)]
pub struct Quiet {
    last: Option<Instant>,
    silent: u64,
}

impl Quiet {
    /// Whether to tell now; how often nothing was told since the last time.
    pub fn speak(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            self.silent = self.silent.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_not_told() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        let said = [0, 1, 999, 1_000, 1_001].map(|ms| quiet.speak(start + Duration::from_millis(ms)));
        assert_eq!(said, [Some(0), None, None, Some(2), None]);
    }
}
