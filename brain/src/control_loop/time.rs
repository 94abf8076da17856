//! The loop's time, which never goes back. Where the machine's clock does, by more than leases bear, time stands still until
//! it has caught up: nothing could be renewed meanwhile, so what is live is taken back while that can be told, and
//! nothing is begun. What nobody could take back runs out at the proxies, whose leases have a clock of their own.

use super::ControlLoop;
use crate::domain::TickOutput;

/// A third of the usual lease: so long nothing need be renewed.
const BEARABLE_MS: i64 = 5_000;

impl ControlLoop {
    /// Takes note of what the clock says.
    pub(super) fn tell_the_time(&mut self, now_ms: i64, out: &mut TickOutput) {
        let was_in_time = self.is_in_time();
        self.behind_ms = (self.now_ms - now_ms).max(0);
        self.now_ms = self.now_ms.max(now_ms);
        if was_in_time && !self.is_in_time() {
            let why = format!("this machine's clock went back by {} s", self.behind_ms / 1_000);
            let me = self.me();
            self.withdraw(&me, &why, |_| true, out);
        }
    }

    /// Whether the clock can be trusted with leases.
    pub(super) fn is_in_time(&self) -> bool {
        is_in_time(self.behind_ms)
    }
}

/// Whether leases bear a clock that has gone back by so much.
pub(super) fn is_in_time(behind_ms: i64) -> bool {
    behind_ms < BEARABLE_MS
}
