//! Two processes, one after the other: which of them takes actions and writes the state file.

use std::sync::Arc;
use std::time::Duration;

use protocol::action::MAX_LEASE_MS;

use super::Control;
use crate::hand_over::LeaseLeft;
use crate::leases::{Lease, MAX_LEASES};

impl Control {
    /// From here on no action is taken and nothing written, because another process is about to. Leases
    /// go on to end; these are they, in the order in which they were applied.
    pub async fn hand_over(&self) -> Vec<LeaseLeft> {
        // What is being written is written first.
        let _turn = self.turn.lock().await;
        let now = self.started.elapsed();
        let mut inner = self.inner();
        inner.handed_over = true;
        let left = |lease: &Lease| {
            let remaining = lease.expires_at.saturating_sub(now).as_millis();
            let remaining_ms = u64::try_from(remaining).unwrap_or(MAX_LEASE_MS);
            LeaseLeft { request: lease.request.clone(), receipt: lease.receipt.clone(), remaining_ms }
        };
        inner.leases.as_applied().into_iter().map(left).collect()
    }

    /// The other process has not come.
    pub fn take_back(&self) {
        self.inner().handed_over = false;
    }

    /// Goes on with what another process has handed over, as far as it fits this configuration.
    pub fn adopt(self: &Arc<Self>, leases: Vec<LeaseLeft>) {
        let now = self.started.elapsed();
        self.change(|inner| {
            if inner.held.frozen {
                return;
            }
            for LeaseLeft { request, receipt, remaining_ms } in leases.into_iter().take(MAX_LEASES) {
                let expires_at = now + Duration::from_millis(remaining_ms.min(MAX_LEASE_MS));
                inner.leases.insert(request, receipt, expires_at);
            }
            inner.expire(now);
            inner.rederive();
        });
    }
}
