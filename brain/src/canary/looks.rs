//! From windows to looks: both versions in the same second, route by route, over all proxies.

use std::collections::BTreeMap;

use protocol::telemetry::{CALLER_MIRROR, CALLER_PREVIEW, Window};

use super::judge::{Look, StratumCounts};
use super::{CanarySpec, Strategy};

/// A second is shown once the newest window began so many seconds later: then every proxy has told.
const WAIT_S: i64 = 2;
/// Seconds and strata that are kept at most.
const MAX_SECONDS: usize = 120;
const MAX_STRATA: usize = 256;
/// What lies beyond goes together.
const OTHER: &str = "other";

/// How a request came to a version.
#[derive(PartialEq)]
enum By {
    Share,
    Asking,
    Copy,
}

/// Seconds that are not complete, for one canary. Not kept: what a brain did not see to its end is not judged.
#[derive(Debug, Default)]
pub struct Looks {
    seconds: BTreeMap<i64, BTreeMap<String, StratumCounts>>,
    newest: i64,
    shown: i64,
}

impl Looks {
    /// Counts a window in; `asked`: while the canary is there for those who ask for it.
    pub fn observe(&mut self, window: &Window, spec: &CanarySpec, asked: bool) {
        // A window belongs to the second in which most of it lies.
        let second = (window.start_ms + i64::from(window.duration_ms) / 2).div_euclid(1_000);
        self.newest = self.newest.max(second);
        if second <= self.shown || self.seconds.len() >= MAX_SECONDS && !self.seconds.contains_key(&second) {
            return;
        }
        // A second in which the service got nothing is a look as well: telemetry is there.
        let strata = self.seconds.entry(second).or_default();
        for cell in window.cells.iter().filter(|cell| cell.service == spec.service) {
            let is_canary = cell.version == spec.canary;
            // The canary's side of a comparison by copies is the copies, that of a preview those who asked; all
            // else is what users got.
            let by = match cell.caller.as_str() {
                CALLER_MIRROR => By::Copy,
                CALLER_PREVIEW => By::Asking,
                _ => By::Share,
            };
            let wanted = match spec.strategy {
                _ if !is_canary => By::Share,
                Strategy::Mirror => By::Copy,
                _ if asked => By::Asking,
                _ => By::Share,
            };
            if by != wanted || !is_canary && cell.version != spec.stable {
                continue;
            }
            let is_full = strata.len() >= MAX_STRATA && !strata.contains_key(&cell.route);
            let name = if is_full { OTHER } else { cell.route.as_str() };
            let stratum = strata
                .entry(name.to_owned())
                .or_insert_with(|| StratumCounts { stratum: name.to_owned(), ..StratumCounts::default() });
            let counts = if is_canary { &mut stratum.canary } else { &mut stratum.stable };
            counts.add(cell);
        }
    }

    /// The seconds that are complete, in order.
    pub fn take(&mut self) -> Vec<Look> {
        let later = self.seconds.split_off(&(self.newest - WAIT_S + 1));
        let complete = std::mem::replace(&mut self.seconds, later);
        let look = |(second, strata): (i64, BTreeMap<String, StratumCounts>)| {
            let at_ms = (second + 1) * 1_000;
            Look { at_ms, strata: strata.into_values().collect(), ..Look::default() }
        };
        let looks: Vec<Look> = complete.into_iter().map(look).collect();
        self.shown = self.shown.max(self.newest - WAIT_S);
        looks
    }

    /// End of the newest second that is complete, milliseconds since the epoch.
    #[must_use]
    pub fn seen_to_ms(&self) -> i64 {
        (self.shown + 1) * 1_000
    }
}
