//! Canaries' place in the loop: they are shown what is, and what they want is kept in force by leases.
//!
//! Whatever a rollout wants is put beside what it wanted before, and only then is that taken away (the
//! proxies let the later one win): no moment between two steps has the configuration's weights. Which
//! lease stands for what is not kept: a brain that comes back puts afresh, and old leases run out.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::action::ActionKind;
use protocol::telemetry::Window;
use serde_json::json;

use super::ControlLoop;
use crate::action::lifecycle::Standing;
use crate::canary::judge::Reading;
use crate::canary::{
    Approval, Canary, CanaryDetail, CanarySpec, Change, FleetSight, GateAnswer, Looks, Order, Phase, Sight,
    Trouble,
};
use crate::domain::{
    Action, ActionPhase, Actor, ActorKind, Cause, CauseKind, Event, Incident, KeptCanary, Mode, PersonAnswer,
    ProposedAction, TickOutput,
};

/// A split's lease, milliseconds: so long after the brain's death the configuration's weights hold again.
const LEASE_MS: u64 = 15_000;
/// Before what was refused or lost is tried again, milliseconds.
const RETRY_MS: i64 = 5_000;
/// Finished rollouts that people can look at.
const MAX_FINISHED: usize = 100;
/// Rollouts under way.
const MAX_LIVE: usize = 100;
/// Evidence is kept at least so often, milliseconds.
const KEEP_MS: i64 = 5_000;
/// From this confidence on a diagnosis ends a canary.
const SURE: f64 = 0.9;

/// All rollouts, the newest last.
#[derive(Debug, Default)]
pub(super) struct Rollouts {
    all: Vec<Rollout>,
    next: u64,
}

#[derive(Debug)]
struct Rollout {
    canary: Canary,
    looks: Looks,
    /// The action that is in force, and what it is.
    current: Option<(String, ActionKind)>,
    /// The one that is to replace it.
    coming: Option<(String, ActionKind)>,
    refused: Option<String>,
    retry_ms: i64,
    kept_ms: i64,
    detail: Arc<CanaryDetail>,
}

impl Rollout {
    fn new(canary: Canary) -> Self {
        let detail = Arc::new(canary.detail());
        let looks = Looks::default();
        Self { canary, looks, current: None, coming: None, refused: None, retry_ms: 0, kept_ms: 0, detail }
    }

    fn kept(&mut self, now_ms: i64) -> KeptCanary {
        self.kept_ms = now_ms;
        let state = serde_json::to_string(&self.canary).unwrap_or_default();
        KeptCanary { id: self.canary.id.clone(), at_ms: now_ms, state }
    }
}

impl Rollouts {
    /// Counts a window in.
    pub(super) fn observe(&mut self, window: &Window) {
        for rollout in self.all.iter_mut().filter(|r| !r.canary.phase.is_over()) {
            rollout.looks.observe(window, &rollout.canary.spec);
        }
    }

    /// Whether a version had its trial.
    pub(super) fn has_tried(&self, service: &str, version: &str) -> bool {
        self.all.iter().any(|r| r.canary.spec.service == service && r.canary.spec.canary == version)
    }

    /// Newest first.
    pub(super) fn views(&self) -> Vec<Arc<CanaryDetail>> {
        self.all.iter().rev().map(|rollout| Arc::clone(&rollout.detail)).collect()
    }

    /// Whether an incident is a rollout's own affair: the judge and the state machine answer it.
    pub(super) fn owns(&self, incident: &Incident) -> bool {
        let live = self.all.iter().filter(|r| r.canary.is_live());
        live.into_iter().any(|r| accuses(&incident.cause, &r.canary))
    }

    fn find(&mut self, id: &str) -> Option<&mut Rollout> {
        self.all.iter_mut().find(|rollout| rollout.canary.id == id)
    }
}

fn accuses(cause: &Cause, canary: &Canary) -> bool {
    let spec = &canary.spec;
    let version = cause.kind == CauseKind::BadVersion && cause.version.as_ref() == Some(&spec.canary);
    let alone = canary.endpoints.len() == 1;
    let endpoint = cause.kind == CauseKind::BadEndpoint
        && alone
        && cause.endpoint.as_ref().is_some_and(|e| canary.endpoints.contains(e));
    cause.service == spec.service && (version || endpoint)
}

impl ControlLoop {
    /// Takes up what an earlier life left.
    pub fn recall_canaries(&mut self, states: Vec<Canary>, next: u64) {
        self.rollouts.next = self.rollouts.next.max(next);
        self.rollouts.all.extend(states.into_iter().map(Rollout::new));
    }

    /// One turn of every rollout.
    pub(super) fn roll_out(&mut self, out: &mut TickOutput) {
        if self.options.open_loop {
            return;
        }
        self.discover(out);
        let mut all = std::mem::take(&mut self.rollouts.all);
        for rollout in all.iter_mut().filter(|r| r.canary.is_live()) {
            let sight = self.sight(rollout);
            let changes = rollout.canary.turn(&sight);
            self.keep_in_force(rollout, &sight, out);
            if !changes.is_empty()
                || !sight.looks.is_empty()
                || rollout.canary.hold != rollout.detail.view.hold
            {
                rollout.detail = Arc::new(rollout.canary.detail());
            }
            self.tell(rollout, &changes, out);
        }
        let finished = all.iter().filter(|r| !r.canary.is_live()).count();
        let mut surplus = finished.saturating_sub(MAX_FINISHED);
        all.retain(|rollout| {
            let goes = surplus > 0 && !rollout.canary.is_live();
            surplus -= usize::from(goes);
            !goes
        });
        self.rollouts.all = all;
    }

    fn tell(&self, rollout: &mut Rollout, changes: &[Change], out: &mut TickOutput) {
        out.readings.append(&mut rollout.canary.readings_wanted);
        out.calls.append(&mut rollout.canary.calls);
        for change in changes {
            let canary = Box::new(rollout.canary.view());
            let event = match change {
                Change::Moved if rollout.canary.phase.is_over() => Event::CanaryEnded { canary },
                Change::Moved => Event::CanaryMoved { canary },
                Change::Held => Event::CanaryHeld { canary },
                Change::Looked => Event::CanaryLooked { canary },
            };
            out.events.push((self.me(), event));
        }
        if !changes.is_empty() || self.now_ms >= rollout.kept_ms + KEEP_MS {
            out.canaries.push(rollout.kept(self.now_ms));
        }
    }

    fn sight(&mut self, rollout: &mut Rollout) -> Sight {
        let spec = rollout.canary.spec.clone();
        let held = rollout.current.as_ref().filter(|(id, _)| self.leases.standing(id) == Standing::Held);
        let stopped = if self.frozen {
            Some("a person has stopped the brain: unfreeze")
        } else if !self.audit_ok {
            Some("the audit log cannot be written")
        } else {
            None
        };
        let fleet = FleetSight::of(&self.fleet, &spec.service, &spec.stable, &spec.canary);
        rollout.canary.endpoints = fleet.canary.endpoints.keys().cloned().collect();
        Sight {
            now_ms: self.now_ms,
            fleet,
            held: held.map(|(_, kind)| kind.clone()),
            refused: rollout.refused.clone(),
            looks: rollout.looks.take(),
            seen_to_ms: rollout.looks.seen_to_ms(),
            trouble: self.trouble(&rollout.canary),
            stopped,
            min_capacity: self.policies.guard.min_healthy_capacity,
        }
    }

    /// The open incident that concerns a canary's service: one that accuses the canary before others. One
    /// that accuses it without being sure is left to the judge.
    fn trouble(&mut self, canary: &Canary) -> Option<Trouble> {
        let service = &canary.spec.service;
        let of = |incident: &Incident, by_canary| Trouble {
            incident: incident.id.clone(),
            by_canary,
            summary: incident.summary.clone(),
        };
        let mut other = None;
        for case in self.book.open_mut().iter() {
            let incident = &case.incident;
            if accuses(&incident.cause, canary) {
                if incident.confidence >= SURE {
                    return Some(of(incident, true));
                }
            } else if incident.service == *service || incident.cause.service == *service {
                other.get_or_insert_with(|| of(incident, false));
            }
        }
        other
    }

    fn keep_in_force(&mut self, rollout: &mut Rollout, sight: &Sight, out: &mut TickOutput) {
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

    /// A person or a pipeline asks for a rollout.
    pub(super) fn start_canary(
        &mut self,
        by: &Actor,
        spec: CanarySpec,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        if let Some((path, why)) = spec.findings().into_iter().next() {
            return PersonAnswer::Invalid(format!("{} {why}", path.trim_start_matches('/')));
        }
        if let Some(gate) = spec.gates.iter().find(|gate| !self.policies.canaries.allows_gate(&gate.url)) {
            return PersonAnswer::Invalid(format!("canaries.yaml does not allow the gate {}", gate.url));
        }
        if let Some(place) = spec.prometheus.as_ref().filter(|p| !self.policies.canaries.allows_gate(&p.url))
        {
            return PersonAnswer::Invalid(format!(
                "canaries.yaml does not allow the Prometheus {}",
                place.url
            ));
        }
        if self.mode == Mode::Observe {
            return PersonAnswer::Conflict("the brain only observes: lightsout mode advisory".to_owned());
        }
        if let Some(why) = self.cannot_start(&spec) {
            return PersonAnswer::Invalid(why);
        }
        // A rollout that is over no longer has a say.
        let mut before: Vec<_> =
            self.rollouts.all.iter_mut().filter(|r| r.canary.spec.service == spec.service).collect();
        for rollout in &mut before {
            rollout.canary.let_go();
            for (id, _) in rollout.current.take().into_iter().chain(rollout.coming.take()) {
                let me = crate::action::lifecycle::brain_actor(&self.options.brain_id);
                self.leases.remove(&id, me, "another canary begins", self.now_ms, out);
            }
            out.canaries.push(rollout.kept(self.now_ms));
        }
        self.rollouts.next += 1;
        let id = format!("can-{}", self.rollouts.next);
        let mut rollout = Rollout::new(Canary::new(id.clone(), spec, by.clone(), self.now_ms));
        let canary = Box::new(rollout.canary.view());
        out.events
            .push((by.clone(), Event::CanaryStarted { spec: Box::new(rollout.canary.spec.clone()), canary }));
        out.canaries.push(rollout.kept(self.now_ms));
        self.rollouts.all.push(rollout);
        PersonAnswer::Done(json!({ "id": id, "phase": "pending" }))
    }

    fn cannot_start(&self, spec: &CanarySpec) -> Option<String> {
        let mut live = self.rollouts.all.iter().filter(|r| !r.canary.phase.is_over());
        if let Some(other) = live.clone().find(|r| r.canary.spec.service == spec.service) {
            let (id, service) = (&other.canary.id, &spec.service);
            return Some(format!("{id} is under way for {service}: promote or roll it back first"));
        }
        if live.by_ref().count() >= MAX_LIVE {
            return Some(format!("{MAX_LIVE} canaries are under way"));
        }
        let fleet = FleetSight::of(&self.fleet, &spec.service, &spec.stable, &spec.canary);
        if fleet.proxies.is_empty() {
            return Some(format!("no proxy that answers serves {}", spec.service));
        }
        for (version, sight) in [(&spec.stable, &fleet.stable), (&spec.canary, &fleet.canary)] {
            if sight.endpoints.is_empty() {
                return Some(format!("{} has no endpoint of version {version} at any proxy", spec.service));
            }
        }
        (!fleet.lacking.is_empty()).then(|| fleet.lacking.join(", "))
    }

    /// A person or a pipeline tells a rollout what to do.
    pub(super) fn order_canary(
        &mut self,
        by: &Actor,
        id: &str,
        order: Order,
        reason: &str,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        let now_ms = self.now_ms;
        let Some(rollout) = self.rollouts.find(id) else {
            return PersonAnswer::NotFound(format!("there is no canary {id}"));
        };
        let agrees = matches!(order, Order::Promote | Order::Resume);
        if agrees && by.kind == ActorKind::Pipeline && rollout.canary.spec.approval != Approval::None {
            return PersonAnswer::Conflict("a person must agree to this; a pipeline is none".to_owned());
        }
        if let Err(why) = rollout.canary.order(order, &by.id, reason, now_ms) {
            return PersonAnswer::Conflict(why.to_string());
        }
        rollout.detail = Arc::new(rollout.canary.detail());
        let canary = Box::new(rollout.canary.view());
        let phase = canary.phase;
        out.canaries.push(rollout.kept(now_ms));
        out.events.push((by.clone(), Event::CanaryMoved { canary }));
        PersonAnswer::Done(json!({ "id": id, "phase": phase }))
    }

    /// A gate has spoken.
    pub(super) fn gate_answered(&mut self, id: &str, question: &str, answer: GateAnswer) -> PersonAnswer {
        if let Some(rollout) = self.rollouts.find(id) {
            rollout.canary.heard(question, answer);
        }
        PersonAnswer::Done(json!({ "id": id }))
    }

    /// A business metric was read.
    pub(super) fn metric_read(&mut self, id: &str, reading: Reading) -> PersonAnswer {
        if let Some(rollout) = self.rollouts.find(id) {
            rollout.canary.has_read(reading);
        }
        PersonAnswer::Done(json!({ "id": id }))
    }

    /// The kill switch takes canaries back as well.
    pub(super) fn revert_canaries(&mut self, by: &Actor, out: &mut TickOutput) -> usize {
        let live = |r: &&Rollout| !matches!(r.canary.phase, Phase::RollingBack) && !r.canary.phase.is_over();
        let ids: Vec<String> = self.rollouts.all.iter().filter(live).map(|r| r.canary.id.clone()).collect();
        for id in &ids {
            self.order_canary(by, id, Order::Rollback, "revert all", out);
        }
        ids.len()
    }
}
