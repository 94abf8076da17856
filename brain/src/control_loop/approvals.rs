//! A person's yes or no to a proposal: bound to exactly what was read, in the state that it was read in.

use serde_json::json;

use super::ControlLoop;
use crate::decision::Advice;
use crate::domain::{
    Actor, ActorKind, Decision, Event, PersonAnswer, Proposal, ProposalState, TickOutput, Verdict,
};

impl ControlLoop {
    /// The proposal, if it still waits.
    fn waiting(&mut self, id: &str) -> Result<Proposal, PersonAnswer> {
        let now_ms = self.now_ms;
        let Some(proposal) = self.desk.get_mut(id) else {
            return Err(PersonAnswer::NotFound(format!("there is no proposal {id}")));
        };
        if proposal.state != ProposalState::Pending {
            let state = serde_json::to_value(proposal.state).unwrap_or_default();
            return Err(PersonAnswer::Conflict(format!("{id} does not wait any more: it is {state}")));
        }
        if proposal.expires_ms <= now_ms {
            return Err(PersonAnswer::Conflict(format!("{id} expired at {}", proposal.expires_at)));
        }
        Ok(proposal.clone())
    }

    pub(super) fn approve(
        &mut self,
        by: &Actor,
        id: &str,
        digest: &str,
        reason: String,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        let proposal = match self.waiting(id) {
            Ok(proposal) => proposal,
            Err(answer) => return answer,
        };
        if let Err(why) = may_agree(&proposal, digest, by) {
            return PersonAnswer::Conflict(why);
        }
        let case = proposal.incident.as_deref().and_then(|incident| self.book.case(incident));
        let cause = case.map(|case| case.incident.cause.clone());
        // A person's yes stands for every check that would ask; what is denied stays denied.
        let judgement = self.judge(&proposal, cause.as_ref());
        if judgement.verdict == Verdict::Deny {
            let why = judgement.why.clone();
            out.events.push((self.me(), Event::Verdict { proposal, judgement }));
            return PersonAnswer::Conflict(format!("the guard does not allow it now: {why}"));
        }
        if proposal.footing != Some(self.footing(&proposal.action.service, cause.as_ref())) {
            return self.propose_afresh(proposal, out);
        }
        self.agree(proposal, by, reason, out)
    }

    fn agree(
        &mut self,
        mut proposal: Proposal,
        by: &Actor,
        reason: String,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        if !proposal.approvals.contains(&by.id) {
            proposal.approvals.push(by.id.clone());
        }
        if proposal.approvals.len() < proposal.approvals_needed {
            let agreed = self.decided(proposal, ProposalState::Pending, Decision::Agreed, by, reason, out);
            let (have, need) = (agreed.approvals.len(), agreed.approvals_needed);
            return PersonAnswer::Done(
                json!({ "proposal": agreed.id, "state": "pending", "approvals": have, "approvals_needed": need }),
            );
        }
        self.heard(&proposal.action, proposal.incident.as_deref(), true);
        let proposal = self.decided(proposal, ProposalState::Executed, Decision::Approved, by, reason, out);
        let action = self.carry_out(&proposal, &by.id, out);
        PersonAnswer::Done(json!({ "proposal": proposal.id, "state": "executed", "action": action }))
    }

    /// The state that a proposal was made from is no more: the same is proposed in the state as it is, and
    /// nobody has agreed to that yet.
    fn propose_afresh(&mut self, stale: Proposal, out: &mut TickOutput) -> PersonAnswer {
        let case = stale.incident.as_deref().and_then(|id| self.book.case(id));
        let incident = case.map(|case| case.incident.clone());
        let mut fresh = self.draft(incident.as_ref(), Advice::behind(&stale));
        fresh.id = self.desk.next_id();
        fresh.asked_by.clone_from(&stale.asked_by);
        let why = format!(
            "the state of {} that {} was made from has changed: {} is proposed in its place; read and approve that",
            stale.action.service, stale.id, fresh.id
        );
        let (me, reason) = (self.me(), format!("its state has changed: {} stands in its place", fresh.id));
        self.decided(stale, ProposalState::Expired, Decision::Expired, &me, reason, out);
        let cause = incident.map(|incident| incident.cause);
        let mut judgement = self.judge(&fresh, cause.as_ref());
        if judgement.verdict == Verdict::Allow {
            // Whoever was about to agree looks again first.
            judgement.verdict = Verdict::Ask;
        }
        let fresh = self.settle(fresh, judgement, out);
        PersonAnswer::Changed { why, fresh: Box::new(fresh) }
    }

    pub(super) fn reject(
        &mut self,
        by: &Actor,
        id: &str,
        reason: String,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        let proposal = match self.waiting(id) {
            Ok(proposal) => proposal,
            Err(answer) => return answer,
        };
        let proposal = self.decided(proposal, ProposalState::Rejected, Decision::Rejected, by, reason, out);
        self.heard(&proposal.action, proposal.incident.as_deref(), false);
        self.not_again(&proposal.action, proposal.incident.as_deref());
        PersonAnswer::Done(json!({ "proposal": proposal.id, "state": "rejected" }))
    }

    fn decided(
        &mut self,
        mut proposal: Proposal,
        state: ProposalState,
        decision: Decision,
        by: &Actor,
        reason: String,
        out: &mut TickOutput,
    ) -> Proposal {
        proposal.state = state;
        if let Some(kept) = self.desk.get_mut(&proposal.id) {
            *kept = proposal.clone();
        }
        let event = Event::Decision { proposal: proposal.clone(), decision, by: by.clone(), reason };
        out.events.push((by.clone(), event));
        proposal
    }
}

/// Whether `by` may agree to it, having read what has this digest.
fn may_agree(proposal: &Proposal, digest: &str, by: &Actor) -> Result<(), String> {
    if proposal.digest != digest {
        return Err(format!("the digest of {} is {}: read it again", proposal.id, proposal.digest));
    }
    let several = proposal.approvals_needed > 1;
    if several && proposal.approvals.contains(&by.id) {
        return Err(format!("{} has agreed already: another person must", by.id));
    }
    if several && by.kind != ActorKind::Person {
        return Err("two people must agree to this; a pipeline is none".to_owned());
    }
    Ok(())
}
