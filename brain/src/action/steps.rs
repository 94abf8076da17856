//! The next step of every remedy. Pure: everything it touches is in [`Hands`].

use std::collections::{BTreeMap, BTreeSet};

use protocol::action::ActionKind;

use super::lifecycle::{Leases, Standing, brain_actor};
use super::operation::{Operation, Stage};
use crate::domain::{Action, ActionPhase, Actor, Effect, EffectKind, Event, ProposedAction, TickOutput};
use crate::guard::capacity::proxies_of;
use crate::guard::{Fleet, Ledger, target};
use crate::policies::GuardPolicy;
use crate::state::MeshState;
use crate::verification::{Meter, Part, effect};

/// What a remedy may touch.
#[derive(Debug)]
pub struct Hands<'a> {
    /// The lease book.
    pub leases: &'a mut Leases,
    /// The guard's ledger.
    pub ledger: &'a mut Ledger,
    /// The mesh, to look away from an endpoint that comes back.
    pub mesh: &'a mut MeshState,
    /// The rules.
    pub policy: &'a GuardPolicy,
    /// The proxies.
    pub fleet: &'a Fleet,
    /// Whether anything new may be put: not frozen, and the audit can be written.
    pub may_put: bool,
    /// Whether a person has stopped everything: what is half on its way does not stay so.
    pub frozen: bool,
    /// Services in which a probe runs: one at a time.
    pub probing: &'a mut BTreeSet<String>,
    /// Who we are.
    pub brain_id: &'a str,
    /// Now, milliseconds since the epoch.
    pub now_ms: i64,
    /// What comes of it.
    pub out: &'a mut TickOutput,
}

/// What a step means for the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// The remedy does not help; it should not be tried again.
    InVain,
}

/// A remedy whose reason has turned out another is looked at for so long after it had settled, milliseconds.
const LOOK_MS: i64 = 3_000;
/// What is back is not held to account for its cold start, milliseconds.
pub(super) const RETURN_GRACE_MS: i64 = 2_000;

impl Operation {
    /// Takes the step that is due.
    pub fn advance(&mut self, hands: &mut Hands<'_>) -> News {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Applying => self.applying(hands),
            Stage::Verifying(meter) => return self.verifying(meter, hands),
            Stage::Holding { probe_at_ms, meter } => self.holding(probe_at_ms, meter, hands),
            Stage::OpeningProbe { probe } => self.opening_probe(probe, hands),
            Stage::Probing { meter, since_ms } => self.probing(meter, since_ms, hands),
            Stage::ClosingProbe { again } => self.closing_probe(again, hands),
            Stage::Returned { until_ms } if hands.now_ms < until_ms => {
                self.stage = Stage::Returned { until_ms }
            }
            Stage::Returned { .. } | Stage::Over => {}
        }
        News::None
    }

    fn applying(&mut self, hands: &mut Hands<'_>) {
        match self.standing(hands) {
            Standing::Pending => self.stage = Stage::Applying,
            Standing::Held if self.incident.is_none() && self.waves.is_empty() => self.hold(hands),
            Standing::Held => {
                set_phase(hands, &self.current, ActionPhase::Verifying);
                let from_ms = hands.now_ms + hands.policy.lifecycle.settle_ms;
                self.stage = Stage::Verifying(Meter::new(self.scope(), from_ms));
            }
            Standing::Refused(why) => {
                hands.remove(&self.current, &format!("refused: {why}"));
                hands.ledger.end(&self.id, true, hands.now_ms);
            }
            Standing::Gone => hands.ledger.end(&self.id, true, hands.now_ms),
        }
    }

    fn verifying(&mut self, meter: Meter, hands: &mut Hands<'_>) -> News {
        if self.is_lost(hands) {
            return News::None;
        }
        if !self.waves.is_empty() {
            return self.wave(meter, hands);
        }
        let life = &hands.policy.lifecycle;
        let measured_ms = hands.now_ms - meter.from_ms();
        let effect = effect(&self.yard, &self.part, &meter);
        let enough = meter.all().n >= life.verify_requests && measured_ms >= 2_000;
        let late = measured_ms >= i64::from(life.verify_max_s) * 1_000;
        let harm = effect.kind == EffectKind::Harmed && meter.all().n >= 20;
        if !(enough || late || harm) {
            self.stage = Stage::Verifying(meter);
            return News::None;
        }
        self.conclude(effect, hands)
    }

    /// Says what the action did, and does what follows from it.
    pub(super) fn conclude(&mut self, effect: Effect, hands: &mut Hands<'_>) -> News {
        let kind = effect.kind;
        self.tell(effect, hands);
        match kind {
            EffectKind::Helped | EffectKind::Unknown => {
                self.hold(hands);
                News::None
            }
            EffectKind::Unchanged => self.give_up("it did not help", hands),
            EffectKind::Harmed => {
                let until_ms = hands.now_ms + i64::from(hands.policy.demote_s) * 1_000;
                hands.ledger.demote(self.action.kind.name(), until_ms);
                self.give_up("it did harm", hands)
            }
        }
    }

    fn give_up(&mut self, why: &str, hands: &mut Hands<'_>) -> News {
        hands.remove(&self.current, why);
        hands.ledger.reversed(&target(&self.action), hands.now_ms);
        hands.ledger.end(&self.id, true, hands.now_ms);
        News::InVain
    }

    fn tell(&self, effect: Effect, hands: &mut Hands<'_>) {
        if let Some(action) = hands.leases.live_mut(&self.current) {
            action.effect = Some(effect.clone());
            let action = action.clone();
            hands.out.events.push((brain_actor(hands.brain_id), Event::Effect { action, effect }));
        }
    }

    /// The reason has turned out another. What it does is looked at for a moment first: that all else fails since it
    /// began may be its own doing, and then it is told, undone and remembered as harm.
    pub fn recant(&mut self, by: &Actor, hands: &mut Hands<'_>) -> News {
        let looking = |meter: &Meter| hands.now_ms - meter.from_ms() < LOOK_MS;
        if matches!(&self.stage, Stage::Verifying(meter) if looking(meter)) {
            return self.advance(hands);
        }
        self.withdraw(by, "the cause has turned out to be another", hands);
        News::None
    }

    /// Takes everything back, for good.
    pub fn withdraw(&mut self, by: &Actor, why: &str, hands: &mut Hands<'_>) {
        let beside = match &self.stage {
            Stage::OpeningProbe { probe: id } | Stage::ClosingProbe { again: id } => Some(id.clone()),
            _ => None,
        };
        for id in beside.iter().chain([&self.current]) {
            hands.leases.remove(id, by.clone(), why, hands.now_ms, hands.out);
        }
        self.look_away(hands.now_ms + RETURN_GRACE_MS, hands);
        hands.ledger.end(&self.id, false, hands.now_ms);
        self.stage = Stage::Over;
    }

    pub(super) fn is_lost(&mut self, hands: &mut Hands<'_>) -> bool {
        let lost = match self.standing(hands) {
            Standing::Gone => true,
            Standing::Refused(why) => {
                hands.remove(&self.current, &format!("refused: {why}"));
                true
            }
            Standing::Held | Standing::Pending => false,
        };
        if lost {
            self.look_away(hands.now_ms + RETURN_GRACE_MS, hands);
            hands.ledger.end(&self.id, true, hands.now_ms);
        }
        lost
    }

    /// What is treated is not held to account for what it does until then.
    pub(super) fn look_away(&self, until_ms: i64, hands: &mut Hands<'_>) {
        let Some(service) = hands.mesh.services.get_mut(&self.action.service) else { return };
        match &self.part {
            Part::Endpoint(id) => service.grace_endpoint(id, until_ms),
            Part::Version(label) => service.grace_version(label, until_ms),
            Part::Whole | Part::Clients(_) => {}
        }
    }

    /// Puts an action of this remedy on every proxy of its service.
    pub fn begin(
        &mut self,
        kind: ActionKind,
        reason: String,
        phase: ActionPhase,
        hands: &mut Hands<'_>,
    ) -> String {
        let proxies = proxies_of(hands.fleet, &self.action.service);
        self.begin_at(&proxies, kind, reason, phase, hands)
    }

    /// Puts an action of this remedy on these proxies.
    pub fn begin_at(
        &mut self,
        proxies: &[(String, String)],
        kind: ActionKind,
        reason: String,
        phase: ActionPhase,
        hands: &mut Hands<'_>,
    ) -> String {
        let id = hands.leases.next_id();
        let action = self.action_of(id.clone(), kind, reason, phase, hands.now_ms);
        self.treated.extend(proxies.iter().map(|(id, _)| id.clone()));
        hands.leases.begin(action, proxies, hands.now_ms, hands.out);
        id
    }

    /// One action of this remedy.
    #[must_use]
    pub fn action_of(
        &self,
        id: String,
        kind: ActionKind,
        reason: String,
        phase: ActionPhase,
        now_ms: i64,
    ) -> Action {
        let action = ProposedAction { kind, ..self.action.clone() };
        Action {
            id,
            proposal: self.proposal.clone(),
            incident: self.incident.clone(),
            action,
            phase,
            reason,
            confidence: self.confidence,
            issued_by: self.issued_by.clone(),
            started_ms: now_ms,
            ended_ms: None,
            receipts: BTreeMap::new(),
            renewals: 0,
            effect: None,
        }
    }
}

pub(super) fn set_phase(hands: &mut Hands<'_>, action: &str, phase: ActionPhase) {
    if let Some(action) = hands.leases.live_mut(action) {
        action.phase = phase;
    }
}

impl Hands<'_> {
    pub(super) fn remove(&mut self, action: &str, why: &str) {
        self.leases.remove(action, brain_actor(self.brain_id), why, self.now_ms, self.out);
    }
}
