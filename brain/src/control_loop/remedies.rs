//! From an incident to a remedy: propose, judge, carry out, and move on what is under way.

use protocol::action::ActionKind;

use super::ControlLoop;
use crate::action::operation::{Operation, Stage};
use crate::action::steps::{Hands, News};
use crate::action::treatment::{self, leaves_some_out};
use crate::action::waves::{Wave, requests_by_proxy, waves};
use crate::decision::{Advice, advise, footing, is_same_intent, propose, radius, with_opinion};
use crate::diagnosis::CallGraph;
use crate::domain::{
    ActionPhase, Actor, Cause, CauseKind, Decision, Effect, EffectKind, Event, Evidence, Incident, Judgement,
    Proposal, ProposalState, ProposedAction, Signal, TickOutput, Verdict,
};
use crate::guard::capacity::{places, proxies_of};
use crate::guard::{RELAPSE_MS, Situation, approvals_needed, deciding, judge, target};
use crate::webhook::scaler::SCALER;

/// A symptom that was not seen for so long is not acted on, milliseconds.
const FRESH_MS: i64 = 2_500;
/// Between two proposals for one incident whose verdicts differ, milliseconds.
const PATIENCE_MS: i64 = 5_000;

/// The parts of the loop that a remedy may touch, borrowed apart from the rest.
macro_rules! hands {
    ($this:ident, $out:ident) => {
        Hands {
            leases: &mut $this.leases,
            ledger: &mut $this.ledger,
            mesh: &mut $this.mesh,
            policy: &$this.policies.guard,
            fleet: &$this.fleet,
            may_put: !$this.frozen && $this.audit_ok && $this.behind_ms == 0,
            frozen: $this.frozen,
            probing: &mut $this.probing,
            brain_id: &$this.options.brain_id,
            now_ms: $this.now_ms,
            out: $out,
        }
    };
}

impl ControlLoop {
    /// What the guard may look at, for a proposal about `cause`.
    fn situation<'a>(&'a self, cause: Option<&'a Cause>, evidence: &[Evidence]) -> Situation<'a> {
        let from_peers =
            evidence.iter().any(|e| matches!(e.signal, Signal::PeerErrors | Signal::PeerLatency));
        let gross = evidence
            .iter()
            .any(|e| e.signal == Signal::Errors && e.observed >= self.policies.detection.service.gross_share);
        Situation {
            policy: &self.policies.guard,
            ledger: &self.ledger,
            learned: &self.learned,
            mesh: &self.mesh,
            fleet: &self.fleet,
            mode: self.mode,
            cause,
            needs_baseline: cause.is_some() && !from_peers && !gross,
            sick: &self.sick,
            frozen: self.frozen,
            audit_ok: self.audit_ok,
            behind_ms: self.behind_ms,
            epoch: self.options.epoch,
            open_loop: self.options.open_loop,
            counted: !self.options.open_loop || self.options.budgets,
            now_ms: self.now_ms,
        }
    }

    pub(super) fn judge(&self, proposal: &Proposal, cause: Option<&Cause>) -> Judgement {
        judge(proposal, &self.situation(cause, &proposal.evidence))
    }

    pub(super) fn decide(&mut self, out: &mut TickOutput) {
        let now_ms = self.now_ms;
        let wanting =
            self.book.open_mut().iter().filter(|c| !c.settled && !c.acted && now_ms - c.seen_ms <= FRESH_MS);
        let wanting: Vec<Incident> = wanting.map(|c| c.incident.clone()).collect();
        for incident in wanting {
            let busy = |o: &Operation| {
                o.incident.as_ref() == Some(&incident.id)
                    && !matches!(o.stage, Stage::Returned { .. } | Stage::Over)
                    && !leaves_some_out(o, &incident)
            };
            let is_canarys = self.rollouts.owns(&incident);
            if !self.operations.iter().any(busy) && !is_canarys && !self.is_clients_doing(&incident) {
                self.decide_about(&incident, out);
            }
        }
    }

    /// Whether a load is the doing of clients that an incident of its own names: they are refused, not all.
    fn is_clients_doing(&mut self, incident: &Incident) -> bool {
        if !matches!(incident.cause.kind, CauseKind::Overload | CauseKind::Service) {
            return false;
        }
        let graph = CallGraph::of(&self.mesh, self.now_ms);
        self.book.open_mut().iter().any(|case| {
            let cause = &case.incident.cause;
            let above = cause.service == incident.cause.service
                || graph.below(&cause.service).contains(&incident.cause.service);
            cause.kind == CauseKind::AbusiveClients && case.tried.is_empty() && above
        })
    }

    fn decide_about(&mut self, incident: &Incident, out: &mut TickOutput) {
        let tried = self.book.case(&incident.id).map(|case| case.tried.clone()).unwrap_or_default();
        let now = self.circumstances(&incident.cause.service);
        let Some(advice) = advise(incident, &self.policies.rules, &now, &tried, &self.learned) else {
            if !self.ask_model(incident, &now, &tried, out) {
                self.ask_advisor(incident, &now, &tried);
            }
            return;
        };
        self.give_way(incident, out);
        let same = |pending: &mut Proposal| is_same_intent(&pending.action, &advice.action);
        match self.desk.pending_for(&incident.id).map(same) {
            Some(true) => return self.judge_again(incident, advice.confidence, out),
            Some(false) => self.withdraw_pending(incident, out),
            None => {}
        }
        let mut proposal = self.draft(Some(incident), advice);
        let judgement = self.judge(&proposal, Some(&incident.cause));
        let outcome = format!("{:?} {}", judgement.verdict, deciding(&judgement));
        let Some(case) = self.book.case_mut(&incident.id) else { return };
        let said = case.proposed.as_ref().is_some_and(|(at_ms, before)| {
            let impatient = self.now_ms - at_ms < PATIENCE_MS && judgement.verdict != Verdict::Allow;
            *before == outcome || impatient
        });
        // An allowed action that could not be carried out is allowed again after its rest: not news to hold back.
        if said && judgement.verdict != Verdict::Allow {
            return;
        }
        case.proposed = Some((self.now_ms, outcome));
        proposal.id = self.desk.next_id();
        self.settle(proposal, judgement, out);
    }

    /// A proposal without id.
    pub(super) fn draft(&self, incident: Option<&Incident>, advice: Advice) -> Proposal {
        let radius = radius(&advice.action, &self.mesh, &self.fleet, self.now_ms);
        let expires_s = self.policies.guard.proposal_expires_s;
        let approvals_needed = approvals_needed(radius.capacity, &self.policies.guard);
        let footing = self.footing(&advice.action.service, incident.map(|incident| &incident.cause));
        let proposal = propose(String::new(), incident, advice, radius, footing, self.now_ms, expires_s);
        self.heard_out(Proposal { approvals_needed, ..proposal }, incident)
    }

    /// The same with what the learned model says of it.
    fn heard_out(&self, proposal: Proposal, incident: Option<&Incident>) -> Proposal {
        let Some(incident) = incident else { return proposal };
        let opinion = self.learned.opinion(&proposal, incident.cause.kind);
        with_opinion(proposal, &opinion)
    }

    /// The state that a change to `service` would be made in.
    pub(super) fn footing(&self, service: &str, cause: Option<&Cause>) -> String {
        let places = places(service, &self.mesh, &self.fleet, self.now_ms);
        footing(&places, &self.ledger.live_on(service), cause)
    }

    /// Says what is proposed and what the guard thinks, and does what the verdict asks.
    pub(super) fn settle(
        &mut self,
        mut proposal: Proposal,
        judgement: Judgement,
        out: &mut TickOutput,
    ) -> Proposal {
        let me = self.me();
        out.events.push((me.clone(), Event::Proposal { proposal: proposal.clone() }));
        proposal.state = match judgement.verdict {
            Verdict::Allow => ProposalState::Executed,
            Verdict::Ask => ProposalState::Pending,
            Verdict::Deny => ProposalState::Rejected,
        };
        let verdict = judgement.verdict;
        out.events.push((me, Event::Verdict { proposal: proposal.clone(), judgement }));
        self.desk.put(proposal.clone());
        if verdict == Verdict::Allow {
            let by = self.options.brain_id.clone();
            self.carry_out(&proposal, &by, out);
        }
        proposal
    }

    /// A proposal that answers what the incident is no longer thought to be waits in vain.
    fn withdraw_pending(&mut self, incident: &Incident, out: &mut TickOutput) {
        let me = self.me();
        let Some(pending) = self.desk.pending_for(&incident.id) else { return };
        pending.state = ProposalState::Expired;
        let reason = "the cause has turned out to be another".to_owned();
        let proposal = pending.clone();
        let expired = Event::Decision { proposal, decision: Decision::Expired, by: me.clone(), reason };
        out.events.push((me, expired));
    }

    /// A proposal that waits for a person is carried out when the guard needs none any more.
    fn judge_again(&mut self, incident: &Incident, confidence: f64, out: &mut TickOutput) {
        let Some(waiting) = self.desk.pending_for(&incident.id).cloned() else { return };
        let radius = radius(&waiting.action, &self.mesh, &self.fleet, self.now_ms);
        let fresh = self.heard_out(Proposal { confidence, radius, ..waiting }, Some(incident));
        let judgement = self.judge(&fresh, Some(&incident.cause));
        if judgement.verdict != Verdict::Allow {
            return;
        }
        let executed = Proposal { state: ProposalState::Executed, ..fresh };
        if let Some(kept) = self.desk.get_mut(&executed.id) {
            *kept = executed.clone();
        }
        out.events.push((self.me(), Event::Verdict { proposal: executed.clone(), judgement }));
        let by = self.options.brain_id.clone();
        self.carry_out(&executed, &by, out);
    }

    /// Does it; in an open loop, says that it would be done.
    pub(super) fn carry_out(&mut self, proposal: &Proposal, by: &str, out: &mut TickOutput) -> String {
        let aim = target(&proposal.action);
        if self.ledger.last_ended(&aim).is_some_and(|ms| self.now_ms - ms < RELAPSE_MS) {
            self.ledger.reversed(&aim, self.now_ms);
        }
        let cause =
            proposal.incident.as_deref().and_then(|id| self.book.case(id)).map(|c| c.incident.cause.clone());
        let mut operation = treatment::begin(proposal, cause, by, &self.mesh, self.now_ms);
        if self.options.open_loop {
            return self.say(operation, out);
        }
        let kind = operation.action.kind.clone();
        let reason = operation.reason.clone();
        let mut waves = self.holders_of(&proposal.action);
        let first = if waves.is_empty() { Vec::new() } else { waves.remove(0) };
        operation.waves = waves;
        let mut hands = hands!(self, out);
        let id = operation.begin_at(&first, kind, reason, ActionPhase::Applying, &mut hands);
        operation.id.clone_from(&id);
        operation.current.clone_from(&id);
        self.ledger.begin(&id, proposal.action.clone(), self.now_ms);
        if let Some(person) = &proposal.asked_by {
            self.ledger.of_person(&id, person);
        }
        self.operations.push(operation);
        id
    }

    /// Who is to hold an action, wave by wave.
    fn holders_of(&self, action: &ProposedAction) -> Vec<Wave> {
        if matches!(action.kind, ActionKind::Scale { .. }) {
            return vec![vec![(SCALER.to_owned(), String::new())]];
        }
        let life = &self.policies.guard.lifecycle;
        let seen = requests_by_proxy(&self.mesh, &action.service);
        waves(proxies_of(&self.fleet, &action.service), &life.waves, &seen, life.verify_requests)
    }

    fn say(&mut self, operation: Operation, out: &mut TickOutput) -> String {
        let id = self.leases.next_id();
        let (kind, reason) = (operation.action.kind.clone(), operation.reason.clone());
        let mut action = operation.action_of(id.clone(), kind, reason, ActionPhase::Ended, self.now_ms);
        out.events.push((self.me(), Event::Intent { action: action.clone(), proxies: Vec::new() }));
        let effect = Effect {
            kind: EffectKind::Unknown,
            before: operation.yard.before,
            after: operation.yard.before,
            requests: 0,
            interval: None,
            why: "a recording does not answer".to_owned(),
        };
        action.effect = Some(effect.clone());
        out.events.push((self.me(), Event::Effect { action: action.clone(), effect }));
        self.ledger.begin(&id, operation.action, self.now_ms);
        if let Some(incident) = operation.incident {
            if let Some(case) = self.book.case_mut(&incident) {
                case.acted = true;
            }
            self.said.insert(incident, id.clone());
        }
        self.leases.said(action);
        id
    }

    /// Moves every remedy on, and takes back those whose reason has turned out another. Those that are over are kept
    /// until it was learned what came of them.
    pub(super) fn advance(&mut self, out: &mut TickOutput) {
        let mut operations = std::mem::take(&mut self.operations);
        let me = self.me();
        self.probing =
            operations.iter().filter(|o| o.is_probing()).map(|o| o.action.service.clone()).collect();
        for operation in &mut operations {
            let case = operation.incident.as_deref().and_then(|id| self.book.case(id));
            let mistaken = case.is_some_and(|c| operation.is_mistaken(&c.incident.cause));
            let mut hands = hands!(self, out);
            let news = if mistaken && !matches!(operation.stage, Stage::Over) {
                operation.recant(&me, &mut hands)
            } else {
                operation.advance(&mut hands)
            };
            if news == News::InVain
                && let Some(case) = operation.incident.as_deref().and_then(|id| self.book.case_mut(id))
            {
                case.tried.push(operation.action.kind.name());
                case.proposed = None;
            }
        }
        self.operations = operations;
    }

    /// Takes back the remedies that `which` names.
    pub(super) fn withdraw(
        &mut self,
        by: &Actor,
        why: &str,
        which: impl Fn(&Operation) -> bool,
        out: &mut TickOutput,
    ) -> Vec<Operation> {
        let mut operations = std::mem::take(&mut self.operations);
        let taken: Vec<Operation> = operations.extract_if(.., |o| which(o)).collect();
        self.operations = operations;
        let mut hands = hands!(self, out);
        taken
            .into_iter()
            .map(|mut o| {
                o.withdraw(by, why, &mut hands);
                o
            })
            .collect()
    }
}
