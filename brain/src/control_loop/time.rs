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
        let before_ms = self.behind_ms;
        let behind_ms = self.now_ms - now_ms;
        self.behind_ms = if behind_ms < BEARABLE_MS { 0 } else { behind_ms };
        self.now_ms = self.now_ms.max(now_ms);
        if before_ms == 0 && self.behind_ms > 0 {
            let why = format!("this machine's clock went back by {} s", self.behind_ms / 1_000);
            let me = self.me();
            self.withdraw(&me, &why, |_| true, out);
        }
    }
}
