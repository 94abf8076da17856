//! What the audit log says of the last hour, for a brain that starts: without it a crash would give back
//! every budget, every rest and every "no" of a person.

use std::collections::BTreeMap;

use super::ledger::{Ledger, target};
use crate::domain::{Actor, ActorKind, Decision, EffectKind, Event, ProposedAction};
use crate::policies::GuardPolicy;

/// A target that is acted on again so soon after the last time makes that a reversal, milliseconds.
pub const RELAPSE_MS: i64 = 120_000;
/// Why everything is undone at once; no single target is meant.
pub const REVERT_ALL: &str = "revert all";

/// The kinds of events that [`Ledger::recall`] looks at.
pub const RECALLED: [&str; 7] =
    ["brain_started", "decision", "intent", "effect", "undo", "action_ended", "mode"];

impl Ledger {
    /// Takes in what earlier lives did and were told, oldest first. What they held is not taken over: its
    /// leases run out.
    pub fn recall(&mut self, events: &[(i64, Actor, Event)], policy: &GuardPolicy) {
        // By proposal: what was done first. Later intents of the same are its probes.
        let mut begun: BTreeMap<String, (String, ProposedAction)> = BTreeMap::new();
        for (at_ms, by, event) in events {
            let at_ms = *at_ms;
            match event {
                Event::BrainStarted { .. } => self.lost(&mut begun, at_ms),
                Event::Intent { action, .. } if !begun.contains_key(&action.proposal) => {
                    let aim = target(&action.action);
                    if self.last_ended(&aim).is_some_and(|ms| at_ms - ms < RELAPSE_MS) {
                        self.reversed(&aim, at_ms);
                    }
                    self.begin(&action.id, action.action.clone(), at_ms);
                    begun.insert(action.proposal.clone(), (action.id.clone(), action.action.clone()));
                }
                Event::Effect { action, effect } => {
                    let Some((id, first)) = begun.get(&action.proposal) else { continue };
                    if matches!(effect.kind, EffectKind::Unchanged | EffectKind::Harmed) {
                        self.reversed(&target(first), at_ms);
                        self.end(id, true, at_ms);
                    }
                    if effect.kind == EffectKind::Harmed {
                        self.demote(first.kind.name(), at_ms + i64::from(policy.demote_s) * 1_000);
                    }
                }
                Event::ActionEnded { action, .. } => {
                    if let Some((id, _)) = begun.get(&action.proposal) {
                        self.end(id, false, at_ms);
                    }
                }
                Event::Undo { action, why, .. } if by.kind != ActorKind::Brain && why != REVERT_ALL => {
                    let first = begun.get(&action.proposal).map_or(&action.action, |(_, first)| first);
                    self.said_no(&target(first), at_ms, policy);
                }
                Event::Decision { proposal, decision: Decision::Rejected, .. } => {
                    self.said_no(&target(&proposal.action), at_ms, policy);
                }
                Event::Mode { mode, kind: Some(kind), .. } => self.bound(kind, *mode),
                _ => {}
            }
        }
        let end_ms = events.last().map_or(0, |(at_ms, ..)| *at_ms);
        self.lost(&mut begun, end_ms);
    }

    fn said_no(&mut self, target: &str, at_ms: i64, policy: &GuardPolicy) {
        self.refused(target, at_ms + i64::from(policy.person_holds_s) * 1_000, at_ms);
    }

    /// A life is over, and with it all that it held.
    fn lost(&mut self, begun: &mut BTreeMap<String, (String, ProposedAction)>, at_ms: i64) {
        for (id, _) in std::mem::take(begun).into_values() {
            self.end(&id, false, at_ms);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Mode;

    const TARGET: &str = "cart/10.0.0.1:80";

    fn brain() -> Actor {
        Actor { kind: ActorKind::Brain, id: "b".into() }
    }

    fn event(at_s: i64, value: serde_json::Value) -> (i64, Actor, Event) {
        (at_s * 1_000, brain(), serde_json::from_value(value).unwrap())
    }

    fn proposed() -> serde_json::Value {
        json!({"service": "cart", "lease_ms": 5000, "kind": {"type": "eject_endpoint", "endpoint": "10.0.0.1:80"}})
    }

    fn action(n: u32) -> serde_json::Value {
        json!({
            "id": format!("act-{n}"), "proposal": format!("prop-{n}"), "action": proposed(), "phase": "applying",
            "reason": "", "confidence": 0.9, "issued_by": "b", "started_ms": 0, "receipts": {}, "renewals": 0
        })
    }

    fn recalled(events: &[(i64, Actor, Event)]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.recall(events, &GuardPolicy::default());
        ledger
    }

    #[test]
    fn a_crash_gives_back_neither_budget_nor_rest_nor_reversals() {
        let intent = |at_s, n| event(at_s, json!({"type": "intent", "action": action(n), "proxies": []}));
        let ended =
            |at_s, n| event(at_s, json!({"type": "action_ended", "action": action(n), "why": "given back"}));
        let started = event(50, json!({"type": "brain_started", "epoch": 2, "version": ""}));
        let ledger = recalled(&[intent(10, 1), ended(20, 1), intent(40, 2), started, intent(60, 3)]);
        assert_eq!(ledger.started_lately(61_000), 3);
        assert_eq!(ledger.reversals(TARGET, 61_000), 2, "the second and the third came too soon");
        assert_eq!(ledger.last_ended(TARGET), Some(60_000), "what the last life held is over");
    }

    #[test]
    fn a_crash_forgets_neither_harm_nor_a_persons_no() {
        let policy = GuardPolicy::default();
        let effect = json!({"kind": "harmed", "before": 0.1, "after": 0.5, "requests": 50, "why": "worse"});
        let mut undo = event(9, json!({"type": "undo", "action": action(2), "by": brain(), "why": "no"}));
        undo.1.kind = ActorKind::Person;
        let ledger = recalled(&[
            event(1, json!({"type": "intent", "action": action(1), "proxies": []})),
            event(5, json!({"type": "effect", "action": action(1), "effect": effect})),
            undo,
        ]);
        let mode = ledger.effective_mode("eject_endpoint", Mode::Autonomous, &policy, 10_000);
        assert_eq!(mode, Mode::Advisory);
        assert!(ledger.refused_until(TARGET, 10_000).is_some());
        assert!(ledger.refused_until(TARGET, 9_000 + 3_600_000).is_none());
    }
}
