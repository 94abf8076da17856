//! What a rollout wants is kept in force by leases.
//!
//! It is put beside what was wanted before, and only then is that taken away (the proxies let the later one
//! win): no moment between two steps has the configuration's weights.

use std::collections::BTreeMap;

use protocol::action::ActionKind;

use super::{ControlLoop, RETRY_MS, Rollout};
use crate::action::lifecycle::Standing;
use crate::canary::{Canary, Sight};
use crate::domain::{Action, ActionPhase, ProposedAction, TickOutput};

/// A split's lease, milliseconds: so long after the brain's death the configuration's weights hold again.
const LEASE_MS: u64 = 15_000;

impl ControlLoop {
    pub(super) fn keep_in_force(&mut self, rollout: &mut Rollout, sight: &Sight, out: &mut TickOutput) {
        let wanted = rollout.canary.wanted();
        self.settle_coming(rollout, wanted.as_ref(), out);
        if rollout.current.as_ref().is_some_and(|(id, _)| self.leases.standing(id) == Standing::Gone) {
            rollout.current = None;
        }
        let Some(wanted) = wanted else {
            for (id, _) in rollout.current.take().into_iter().chain(rollout.coming.take()) {
                self.leases.remove(&id, self.me(), &rollout.canary.why, self.now_ms, out);
            }
            return;
        };
        let proxies = &sight.fleet.proxies;
        if let Some((id, _)) = rollout.current.as_ref().filter(|(_, kind)| *kind == wanted) {
            let holders = self.leases.holders(id);
            let fresh: Vec<_> = proxies.iter().filter(|(p, _)| !holders.contains(p)).cloned().collect();
            if !fresh.is_empty() && sight.stopped.is_none() {
                self.leases.widen(&id.clone(), &fresh, "a proxy has come", self.now_ms, out);
            }
            return;
        }
        let leaves = matches!(wanted, ActionKind::RollbackCanary { .. });
        if sight.stopped.is_some() {
            // Nothing new; but what only takes traffic from a canary is given up.
            if let Some((id, _)) = rollout.current.take_if(|_| leaves) {
                self.leases.remove(&id, self.me(), &rollout.canary.why, self.now_ms, out);
            }
            return;
        }
        if rollout.coming.is_none() && self.now_ms >= rollout.retry_ms && !proxies.is_empty() {
            let action = self.action_for(&rollout.canary, wanted.clone());
            let id = action.id.clone();
            self.leases.begin(action, proxies, self.now_ms, out);
            rollout.coming = Some((id, wanted));
        }
    }

    /// What was asked of the proxies is in force, or refused, or no longer wanted.
    fn settle_coming(&mut self, rollout: &mut Rollout, wanted: Option<&ActionKind>, out: &mut TickOutput) {
        let Some((id, kind)) = rollout.coming.take() else { return };
        if wanted != Some(&kind) {
            self.leases.remove(&id, self.me(), "something else is wanted by now", self.now_ms, out);
            rollout.refused = None;
            return;
        }
        match self.leases.standing(&id) {
            Standing::Pending => rollout.coming = Some((id, kind)),
            Standing::Held => {
                rollout.refused = None;
                if let Some((before, _)) = rollout.current.replace((id, kind)) {
                    self.leases.remove(&before, self.me(), "the next step is in force", self.now_ms, out);
                }
            }
            Standing::Refused(why) => {
                self.leases.remove(&id, self.me(), &format!("refused: {why}"), self.now_ms, out);
                rollout.refused = Some(why);
                rollout.retry_ms = self.now_ms + RETRY_MS;
                if matches!(kind, ActionKind::RollbackCanary { .. })
                    && let Some((split, _)) = rollout.current.take()
                {
                    self.leases.remove(&split, self.me(), "rolled back", self.now_ms, out);
                }
            }
            Standing::Gone => rollout.retry_ms = self.now_ms + RETRY_MS,
        }
    }

    fn action_for(&mut self, canary: &Canary, kind: ActionKind) -> Action {
        let reason = format!("{}: {}", canary.id, canary.why).chars().take(500).collect();
        Action {
            id: self.leases.next_id(),
            proposal: canary.id.clone(),
            incident: None,
            action: ProposedAction { service: canary.spec.service.clone(), kind, lease_ms: LEASE_MS },
            phase: ActionPhase::Holding,
            reason,
            confidence: 1.0,
            issued_by: canary.by.id.clone(),
            started_ms: self.now_ms,
            ended_ms: None,
            receipts: BTreeMap::new(),
            renewals: 0,
            effect: None,
        }
    }
}
