//! What people ask, and what they are told. A person's decision is not re-fought.

use protocol::action::ActionKind;
use serde_json::json;

use super::ControlLoop;
use crate::action::operation::Operation;
use crate::decision::Advice;
use crate::domain::{
    Actor, ActorKind, Event, Mode, PersonAnswer, PersonRequest, ProposedAction, TickOutput, Verdict,
};
use crate::guard::{REVERT_ALL, target};
use crate::policies::is_kind;

impl ControlLoop {
    pub(super) fn answer(
        &mut self,
        by: &Actor,
        request: PersonRequest,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        match request {
            PersonRequest::Approve { proposal, digest, reason } => {
                self.approve(by, &proposal, &digest, reason, out)
            }
            PersonRequest::Reject { proposal, reason } => self.reject(by, &proposal, reason, out),
            PersonRequest::Propose { action, reason } => self.proposed_by(by, action, reason, out),
            PersonRequest::Undo { action, reason } => self.undo(by, &action, &reason, out),
            PersonRequest::SetMode { mode, kind } => self.set_mode(by, mode, kind, out),
            PersonRequest::StartCanary { spec } => self.start_canary(by, *spec, out),
            PersonRequest::GateAnswered { canary, question, answer } => {
                self.gate_answered(&canary, &question, answer)
            }
            PersonRequest::MetricRead { canary, reading } => self.metric_read(&canary, reading),
            PersonRequest::OrderCanary { canary, order, reason, answers_only } => {
                self.order_canary(by, &canary, (order, answers_only), &reason, out)
            }
            PersonRequest::Freeze { revert_all } => self.freeze(by, revert_all, out),
            PersonRequest::Advise { question, model, answer } => {
                self.advised(by, &question, &model, answer, out)
            }
            PersonRequest::Unfreeze => {
                self.frozen = false;
                out.events.push((by.clone(), Event::Unfrozen { by: by.clone() }));
                PersonAnswer::Done(json!({ "frozen": false }))
            }
        }
    }

    /// A person said no: not for this incident, and not to this target for a while.
    pub(super) fn not_again(&mut self, action: &ProposedAction, incident: Option<&str>) {
        let until_ms = self.now_ms + i64::from(self.policies.guard.person_holds_s) * 1_000;
        self.ledger.refused(&target(action), until_ms, self.now_ms);
        if let Some(case) = incident.and_then(|id| self.book.case_mut(id)) {
            case.settled = true;
        }
    }

    fn proposed_by(
        &mut self,
        by: &Actor,
        action: ProposedAction,
        reason: String,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        let lease = protocol::action::MIN_LEASE_MS..=protocol::action::MAX_LEASE_MS;
        if !lease.contains(&action.lease_ms) {
            return PersonAnswer::Invalid(format!(
                "lease_ms must be between {} and {}",
                lease.start(),
                lease.end()
            ));
        }
        let known = self.mesh.services.contains_key(&action.service)
            || !crate::guard::capacity::proxies_of(&self.fleet, &action.service).is_empty();
        if !known {
            return PersonAnswer::NotFound(format!("there is no service {}", action.service));
        }
        if matches!(action.kind, ActionKind::Scale { .. }) && !self.ahead.may_scale {
            return PersonAnswer::Invalid(
                "nobody can be asked for replicas: brain.yaml has no `scale`".to_owned(),
            );
        }
        let kind = if by.kind == ActorKind::Pipeline { "pipeline" } else { "person" };
        let advice = Advice {
            action,
            confidence: 1.0,
            said: 1.0,
            speaker: format!("{kind}:{}", by.id),
            says: reason,
            abstained: Vec::new(),
            evidence: Vec::new(),
        };
        let mut proposal = self.draft(None, advice);
        if by.kind == ActorKind::Person {
            proposal.asked_by = Some(by.id.clone());
            proposal.approvals.push(by.id.clone());
        }
        let judgement = self.judge(&proposal, None);
        proposal.id = self.desk.next_id();
        let (id, verdict, why) = (proposal.id.clone(), judgement.verdict, judgement.why.clone());
        self.settle(proposal, judgement, out);
        match verdict {
            Verdict::Deny => PersonAnswer::Conflict(format!("the guard does not allow it: {why}")),
            verdict => PersonAnswer::Done(json!({ "proposal": id, "verdict": verdict, "why": why })),
        }
    }

    fn undo(&mut self, by: &Actor, id: &str, reason: &str, out: &mut TickOutput) -> PersonAnswer {
        let is_it = |o: &Operation| o.current == id || o.id == id;
        let taken = self.withdraw(by, reason, is_it, out);
        if taken.is_empty() {
            return PersonAnswer::NotFound(format!("there is no live action {id}"));
        }
        for operation in &taken {
            self.heard(&operation.action, operation.incident.as_deref(), false);
            self.not_again(&operation.action, operation.incident.as_deref());
        }
        PersonAnswer::Done(json!({ "action": id, "state": "removing" }))
    }

    fn set_mode(
        &mut self,
        by: &Actor,
        mode: Mode,
        kind: Option<String>,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        match &kind {
            Some(kind) if !is_kind(kind) => {
                return PersonAnswer::Invalid(format!("there is no action kind {kind:?}"));
            }
            Some(kind) => {
                self.ledger.bound(kind, mode);
                self.learned.forgive(kind);
            }
            None => self.mode = mode,
        }
        out.events.push((by.clone(), Event::Mode { mode, kind: kind.clone(), by: by.clone() }));
        PersonAnswer::Done(json!({ "mode": mode, "kind": kind }))
    }

    fn freeze(&mut self, by: &Actor, revert_all: bool, out: &mut TickOutput) -> PersonAnswer {
        self.frozen = true;
        out.events.push((by.clone(), Event::Frozen { by: by.clone(), revert_all }));
        let taken = if revert_all { self.withdraw(by, REVERT_ALL, |_| true, out) } else { Vec::new() };
        let canaries = if revert_all { self.revert_canaries(by, out) } else { 0 };
        PersonAnswer::Done(json!({ "frozen": true, "reverted": taken.len() + canaries }))
    }
}
