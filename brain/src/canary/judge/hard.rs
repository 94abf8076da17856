//! What needs no statistics: the canary is down, or its processes die again and again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::look::Look;

/// Looks remembered.
const LOOKS: usize = 5;
/// The canary fails so often …
const GROSS: f64 = 0.5;
/// … while the stable version fails less than this.
const WELL: f64 = 0.1;
/// Requests that show it when no response came at all, and when one came.
const HARD_REQUESTS: u64 = 10;
const FAILED_REQUESTS: u64 = 20;
/// Looks that must show it: one broken connection takes many requests with it.
const SHOWN_IN: usize = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Side {
    n: u64,
    failed: u64,
    hard: u64,
}

impl Side {
    fn add(&mut self, (n, failed, hard): (u64, u64, u64)) {
        self.n = self.n.saturating_add(n);
        self.failed = self.failed.saturating_add(failed);
        self.hard = self.hard.saturating_add(hard);
    }

    fn share(self, of: fn(Side) -> u64) -> f64 {
        of(self) as f64 / self.n.max(1) as f64
    }
}

/// The last looks, both sides over all strata.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hard {
    recent: VecDeque<(Side, Side)>,
    restarts_before: Option<u32>,
}

impl Hard {
    /// Takes a look in; why the canary must go at once, if it must.
    pub(super) fn take(&mut self, look: &Look, max_restarts: u32) -> Option<String> {
        let mut sides = (Side::default(), Side::default());
        for stratum in &look.strata {
            sides.0.add(stratum.canary.sane());
            sides.1.add(stratum.stable.sane());
        }
        if sides.0.n > 0 {
            self.recent.push_back(sides);
        }
        if self.recent.len() > LOOKS {
            self.recent.pop_front();
        }
        let before = *self.restarts_before.get_or_insert(look.restarts);
        let restarts = look.restarts.saturating_sub(before);
        if look.crash_looping {
            return Some("the canary's processes are in a crash loop".to_owned());
        }
        if restarts >= max_restarts {
            return Some(format!("the canary's processes were restarted {restarts} times"));
        }
        self.gross(|s| s.hard, HARD_REQUESTS, "got no response from the canary")
            .or_else(|| self.gross(|s| s.failed, FAILED_REQUESTS, "failed on the canary"))
    }

    fn gross(&self, of: fn(Side) -> u64, least: u64, what: &str) -> Option<String> {
        let mut sum = (Side::default(), Side::default());
        for (canary, stable) in &self.recent {
            sum.0.add((canary.n, canary.failed, canary.hard));
            sum.1.add((stable.n, stable.failed, stable.hard));
        }
        let shown = self.recent.iter().filter(|(canary, _)| canary.share(of) >= GROSS).count();
        let gross =
            sum.0.n >= least && sum.0.share(of) >= GROSS && sum.1.share(of) < WELL && shown >= SHOWN_IN;
        let (bad, n, looks) = (of(sum.0), sum.0.n, self.recent.len());
        gross.then(|| format!("{bad} of the last {n} requests ({looks} looks) {what}"))
    }
}
