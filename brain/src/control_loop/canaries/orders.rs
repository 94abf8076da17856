//! What people, pipelines and gates say to rollouts.

use std::sync::Arc;

use serde_json::json;

use super::{ControlLoop, Rollout};
use crate::canary::judge::Reading;
use crate::canary::{Approval, Canary, CanarySpec, FleetSight, GateAnswer, Order, Phase};
use crate::domain::{Actor, ActorKind, Event, Mode, PersonAnswer, TickOutput};

/// Rollouts under way.
const MAX_LIVE: usize = 100;

impl ControlLoop {
    /// A person or a pipeline asks for a rollout.
    pub(in crate::control_loop) fn start_canary(
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

    /// A person or a pipeline tells a rollout what to do; some may only answer what it asks.
    pub(in crate::control_loop) fn order_canary(
        &mut self,
        by: &Actor,
        id: &str,
        (order, answers_only): (Order, bool),
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
        if answers_only && !rollout.canary.is_answered_by(order, &by.id) {
            let why = format!(
                "{id} does not ask for that now: an approver answers what waits for a person, an operator steers"
            );
            return PersonAnswer::Conflict(why);
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
    pub(in crate::control_loop) fn gate_answered(
        &mut self,
        id: &str,
        question: &str,
        answer: GateAnswer,
    ) -> PersonAnswer {
        if let Some(rollout) = self.rollouts.find(id) {
            rollout.canary.heard(question, answer);
        }
        PersonAnswer::Done(json!({ "id": id }))
    }

    /// A business metric was read.
    pub(in crate::control_loop) fn metric_read(&mut self, id: &str, reading: Reading) -> PersonAnswer {
        if let Some(rollout) = self.rollouts.find(id) {
            rollout.canary.has_read(reading);
        }
        PersonAnswer::Done(json!({ "id": id }))
    }

    /// The kill switch takes canaries back as well.
    pub(in crate::control_loop) fn revert_canaries(&mut self, by: &Actor, out: &mut TickOutput) -> usize {
        let live = |r: &&Rollout| !matches!(r.canary.phase, Phase::RollingBack) && !r.canary.phase.is_over();
        let ids: Vec<String> = self.rollouts.all.iter().filter(live).map(|r| r.canary.id.clone()).collect();
        for id in &ids {
            self.order_canary(by, id, (Order::Rollback, false), "revert all", out);
        }
        ids.len()
    }
}
