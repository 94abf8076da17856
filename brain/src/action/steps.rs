//! The next step of every remedy. Pure: everything it touches is in [`Hands`].

use std::collections::{BTreeMap, BTreeSet};

use protocol::action::ActionKind;
use protocol::snapshot::Health;

use super::lifecycle::{Leases, Standing, brain_actor};
use super::operation::{Operation, Stage};
use crate::domain::{Action, ActionPhase, Actor, Effect, EffectKind, Event, ProposedAction, TickOutput};
use crate::guard::capacity::{places, proxies_of};
use crate::guard::{Fleet, Ledger, target};
use crate::policies::GuardPolicy;
use crate::state::MeshState;
use crate::verification::{Meter, ProbeAnswer, effect, probe};

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

/// Weight scale of a probe: configured weights may be 1, and a twentieth of 1 is no integer.
const SCALE: f64 = 100.0;
/// From the probe's lease to its first judged window, milliseconds.
const PROBE_SETTLE_MS: i64 = 500;
/// An endpoint that is back is not held to account for its cold start, milliseconds.
const RETURN_GRACE_MS: i64 = 2_000;

impl Operation {
    /// Takes the step that is due.
    pub fn advance(&mut self, hands: &mut Hands<'_>) -> News {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Applying => self.applying(hands),
            Stage::Verifying(meter) => return self.verifying(meter, hands),
            Stage::Holding { probe_at_ms } => self.holding(probe_at_ms, hands),
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
        match hands.leases.standing(&self.current) {
            Standing::Pending => self.stage = Stage::Applying,
            Standing::Held if self.incident.is_none() => self.hold(hands),
            Standing::Held => {
                set_phase(hands, &self.current, ActionPhase::Verifying);
                let from_ms = hands.now_ms + hands.policy.lifecycle.settle_ms;
                let meter = Meter::new(&self.action.service, self.endpoint(), from_ms, self.slow_index);
                self.stage = Stage::Verifying(meter);
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
        let life = &hands.policy.lifecycle;
        let measured_ms = hands.now_ms - meter.from_ms();
        let effect = effect(self.signal, self.before, self.expected, meter.all());
        let enough = meter.all().n >= life.verify_requests && measured_ms >= 2_000;
        let late = measured_ms >= i64::from(life.verify_max_s) * 1_000;
        let harm = effect.kind == EffectKind::Harmed && meter.all().n >= 20;
        if !(enough || late || harm) {
            self.stage = Stage::Verifying(meter);
            return News::None;
        }
        self.tell(effect.clone(), hands);
        match effect.kind {
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

    fn hold(&mut self, hands: &mut Hands<'_>) {
        set_phase(hands, &self.current, ActionPhase::Holding);
        let life = &hands.policy.lifecycle;
        let delay_ms = self.probe_delay_ms(life.probe_after_s, life.probe_max_after_s);
        self.stage = Stage::Holding { probe_at_ms: hands.now_ms + delay_ms };
    }

    fn holding(&mut self, probe_at_ms: i64, hands: &mut Hands<'_>) {
        if self.is_lost(hands) {
            return;
        }
        let longest_ms = i64::from(hands.policy.lifecycle.max_hold_s) * 1_000;
        if hands.now_ms - self.started_ms >= longest_ms {
            return self.give_back("held as long as may be", hands);
        }
        let due = self.incident.is_some() && hands.now_ms >= probe_at_ms && hands.may_put;
        match self.endpoint().map(str::to_owned) {
            Some(endpoint) if due => self.open_probe(&endpoint, probe_at_ms, hands),
            None if due => self.give_back("to see whether it is still needed", hands),
            _ => self.stage = Stage::Holding { probe_at_ms },
        }
    }

    fn open_probe(&mut self, endpoint: &str, probe_at_ms: i64, hands: &mut Hands<'_>) {
        let places = places(&self.action.service, hands.mesh, hands.fleet, hands.now_ms);
        let down = places.get(endpoint).is_none_or(|p| p.health == Health::Unhealthy);
        if down || hands.probing.contains(&self.action.service) {
            self.stage = Stage::Holding { probe_at_ms };
            return;
        }
        hands.probing.insert(self.action.service.clone());
        let share = hands.policy.lifecycle.probe_share;
        let weight = |id: &String, configured: f64| {
            let part = if id == endpoint { share } else { 1.0 };
            // Rounded and at least 1 where anything is configured; u32 saturates.
            if configured > 0.0 { (configured * SCALE * part).round().max(1.0) as u32 } else { 0 }
        };
        let weights: BTreeMap<String, u32> =
            places.iter().map(|(id, place)| (id.clone(), weight(id, place.weight))).collect();
        let reason = format!("probe: {:.0} % of its share to {endpoint}", share * 100.0);
        let probe = self.begin(ActionKind::SetWeights { weights }, reason, ActionPhase::Probing, hands);
        self.stage = Stage::OpeningProbe { probe };
    }

    fn opening_probe(&mut self, probe: String, hands: &mut Hands<'_>) {
        hands.probing.insert(self.action.service.clone());
        match hands.leases.standing(&probe) {
            Standing::Pending => self.stage = Stage::OpeningProbe { probe },
            Standing::Held => {
                hands.remove(&self.current, "a small share of traffic goes back");
                self.current = probe;
                let meter = Meter::new(
                    &self.action.service,
                    self.endpoint(),
                    hands.now_ms + PROBE_SETTLE_MS,
                    self.slow_index,
                );
                self.look_away(i64::MAX / 4, hands);
                self.stage = Stage::Probing { meter, since_ms: hands.now_ms };
            }
            Standing::Refused(_) | Standing::Gone => {
                hands.remove(&probe, "the probe could not be set up everywhere");
                self.failed_probes += 1;
                self.hold(hands);
            }
        }
    }

    fn probing(&mut self, meter: Meter, since_ms: i64, hands: &mut Hands<'_>) {
        hands.probing.insert(self.action.service.clone());
        if hands.leases.standing(&self.current) == Standing::Gone {
            return self.returned(hands);
        }
        let life = &hands.policy.lifecycle;
        let (longest_ms, passed_ms) = (i64::from(life.probe_max_s) * 1_000, hands.now_ms - since_ms);
        match probe(&meter, self.signal, life.probe_requests, passed_ms >= longest_ms) {
            ProbeAnswer::Failed if hands.may_put => {
                let (own, _) = meter.own_and_others();
                let reason = format!("still sick: probed with {} requests. {}", own.n, self.reason);
                let again = self.begin(self.action.kind.clone(), reason, ActionPhase::Applying, hands);
                self.stage = Stage::ClosingProbe { again };
            }
            ProbeAnswer::Passed => self.give_back("the probe passed", hands),
            // Nobody asks: there is no evidence against it, and there will be none.
            ProbeAnswer::Wait if passed_ms >= 4 * longest_ms => {
                self.give_back("nothing speaks against it", hands)
            }
            ProbeAnswer::Wait | ProbeAnswer::Failed => self.stage = Stage::Probing { meter, since_ms },
        }
    }

    fn closing_probe(&mut self, again: String, hands: &mut Hands<'_>) {
        hands.probing.insert(self.action.service.clone());
        match hands.leases.standing(&again) {
            Standing::Pending => self.stage = Stage::ClosingProbe { again },
            Standing::Held => {
                hands.remove(&self.current, "the probe failed");
                self.current = again;
                self.failed_probes += 1;
                self.hold(hands);
            }
            Standing::Refused(_) | Standing::Gone => {
                hands.remove(&again, "refused");
                self.give_back("it cannot be taken out again", hands);
            }
        }
    }

    fn give_back(&mut self, why: &str, hands: &mut Hands<'_>) {
        hands.remove(&self.current, why);
        self.returned(hands);
    }

    fn returned(&mut self, hands: &mut Hands<'_>) {
        self.look_away(hands.now_ms + RETURN_GRACE_MS, hands);
        hands.ledger.end(&self.id, false, hands.now_ms);
        let watch_ms = i64::from(hands.policy.lifecycle.return_watch_s) * 1_000;
        self.stage = Stage::Returned { until_ms: hands.now_ms + watch_ms };
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

    fn is_lost(&mut self, hands: &mut Hands<'_>) -> bool {
        let lost = match hands.leases.standing(&self.current) {
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

    fn look_away(&self, until_ms: i64, hands: &mut Hands<'_>) {
        let service = hands.mesh.services.get_mut(&self.action.service);
        let endpoint = service.zip(self.endpoint()).and_then(|(s, id)| s.endpoints.get_mut(id));
        if let Some(endpoint) = endpoint {
            endpoint.grace(until_ms);
        }
    }

    /// Puts an action of this remedy on every proxy of its service.
    pub fn begin(
        &self,
        kind: ActionKind,
        reason: String,
        phase: ActionPhase,
        hands: &mut Hands<'_>,
    ) -> String {
        let id = hands.leases.next_id();
        let action = self.action_of(id.clone(), kind, reason, phase, hands.now_ms);
        let proxies = proxies_of(hands.fleet, &self.action.service);
        hands.leases.begin(action, &proxies, hands.now_ms, hands.out);
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

fn set_phase(hands: &mut Hands<'_>, action: &str, phase: ActionPhase) {
    if let Some(action) = hands.leases.live_mut(action) {
        action.phase = phase;
    }
}

impl Hands<'_> {
    fn remove(&mut self, action: &str, why: &str) {
        self.leases.remove(action, brain_actor(self.brain_id), why, self.now_ms, self.out);
    }
}
