//! Giving back what was taken away, a little at a time: each remedy by the probe that its part allows.
//!
//! An endpoint or a version gets a twentieth of its traffic; a service is shed less and less; clients are
//! let in again once they ask no more than others. A failed probe doubles the time to the next.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use protocol::snapshot::Health;

use super::lifecycle::Standing;
use super::operation::{Operation, Stage};
use super::steps::{Hands, RETURN_GRACE_MS, set_phase};
use crate::domain::ActionPhase;
use crate::guard::capacity::{Place, Places, holdings, proxies_of};
use crate::verification::{Meter, Part, ProbeAnswer, eased, probe};

/// Weight scale of a probe: configured weights may be 1, and a twentieth of 1 is no integer.
const SCALE: f64 = 100.0;
/// From the probe's lease to its first judged window, milliseconds.
const PROBE_SETTLE_MS: i64 = 500;
/// Clients are looked at for so long before they are let in again, milliseconds.
const QUIET_MS: i64 = 8_000;
/// Clients that ask so many times the usual at most have calmed down.
const CALM: f64 = 2.0;
/// Together they may ask at least this much, requests a second.
const CALM_RPS: f64 = 1.0;
/// Of a shed fraction, the part that the next easier step keeps.
const EASES_TO: f64 = 0.5;
/// What is less than this is given back whole.
const LEAST_SHED: f64 = 0.1;

impl Operation {
    pub(super) fn hold(&mut self, hands: &mut Hands<'_>) {
        set_phase(hands, &self.current, ActionPhase::Holding);
        let life = &hands.policy.lifecycle;
        let delay_ms = self.probe_delay_ms(life.probe_after_s, life.probe_max_after_s);
        let probe_at_ms = hands.now_ms + delay_ms;
        let meter = Meter::new(self.scope(), probe_at_ms - delay_ms.min(QUIET_MS));
        self.stage = Stage::Holding { probe_at_ms, meter };
    }

    pub(super) fn holding(&mut self, probe_at_ms: i64, meter: Meter, hands: &mut Hands<'_>) {
        if self.is_lost(hands) {
            return;
        }
        self.include_newcomers(hands);
        let longest_ms = i64::from(hands.policy.lifecycle.max_hold_s) * 1_000;
        // How long replicas are held is the forecasts' to say.
        let bounded = !matches!(self.action.kind, ActionKind::Scale { .. });
        if bounded && hands.now_ms - self.started_ms >= longest_ms {
            return self.give_back("held as long as may be", hands);
        }
        // A version that was taken back from its trial does not get another one by itself.
        let for_people =
            self.incident.is_none() || matches!(self.action.kind, ActionKind::RollbackCanary { .. });
        // Whom nobody tells of cannot be asked, and what its endpoints are is not known.
        let nobody = proxies_of(hands.fleet, &self.action.service).is_empty();
        if for_people || hands.now_ms < probe_at_ms || !hands.may_put || nobody {
            self.stage = Stage::Holding { probe_at_ms, meter };
            return;
        }
        match (&self.part, shed_of(&self.action.kind)) {
            (Part::Endpoint(_) | Part::Version(_), _) => self.open_probe(probe_at_ms, meter, hands),
            (Part::Clients(_), _) => self.let_in_if_calm(&meter, hands),
            (Part::Whole, Some(fraction)) if fraction * EASES_TO >= LEAST_SHED => self.ease(fraction, hands),
            (Part::Whole, _) => self.give_back("to see whether it is still needed", hands),
        }
    }

    /// Clients that are refused are still seen asking: no need to let them in to know.
    fn let_in_if_calm(&mut self, meter: &Meter, hands: &mut Hands<'_>) {
        let most = (self.yard.usual_clients_rps * CALM).max(CALM_RPS);
        match meter.clients_rps() {
            Some((served, denied)) if served + denied <= most => {
                self.give_back("these clients ask no more than others", hands);
            }
            _ => {
                self.failed_probes += 1;
                self.hold(hands);
            }
        }
    }

    /// The strictest shed counts at a proxy: the weaker one takes effect when the present one goes.
    fn ease(&mut self, fraction: f64, hands: &mut Hands<'_>) {
        let fraction = (fraction * EASES_TO * 100.0).round() / 100.0;
        let kind = ActionKind::ShedLoad { max_in_flight: None, fraction: Some(fraction) };
        let reason = format!("probe: only {:.0} % are shed", fraction * 100.0);
        let probe = self.begin(kind, reason, ActionPhase::Probing, hands);
        self.stage = Stage::OpeningProbe { probe };
    }

    fn open_probe(&mut self, probe_at_ms: i64, meter: Meter, hands: &mut Hands<'_>) {
        let service = &self.action.service;
        let of = holdings(service, hands.mesh, hands.fleet, hands.now_ms);
        let treated = |id: &String, place: &Place| match &self.part {
            Part::Endpoint(own) => own == id,
            Part::Version(label) => *label == place.version,
            Part::Whole | Part::Clients(_) => false,
        };
        let up = of.places.iter().any(|(id, p)| treated(id, p) && p.health != Health::Unhealthy);
        if !up || hands.probing.contains(service) {
            self.stage = Stage::Holding { probe_at_ms, meter };
            return;
        }
        hands.probing.insert(service.clone());
        let share = hands.policy.lifecycle.probe_share;
        let others = hands.ledger.taken_beside(&self.id, service, &of);
        let weights = probe_weights(&of.places, treated, &others, share);
        let reason = format!("probe: {:.0} % of its share to {}", share * 100.0, self.named());
        let probe = self.begin(ActionKind::SetWeights { weights }, reason, ActionPhase::Probing, hands);
        self.stage = Stage::OpeningProbe { probe };
    }

    fn named(&self) -> String {
        match &self.part {
            Part::Endpoint(id) => id.clone(),
            Part::Version(label) => format!("version {label}"),
            Part::Whole | Part::Clients(_) => self.action.service.clone(),
        }
    }

    pub(super) fn opening_probe(&mut self, probe: String, hands: &mut Hands<'_>) {
        hands.probing.insert(self.action.service.clone());
        match hands.leases.standing(&probe) {
            Standing::Pending => self.stage = Stage::OpeningProbe { probe },
            Standing::Held => {
                hands.remove(&self.current, "a little goes back");
                self.current = probe;
                let meter = Meter::new(self.scope(), hands.now_ms + PROBE_SETTLE_MS);
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

    pub(super) fn probing(&mut self, meter: Meter, since_ms: i64, hands: &mut Hands<'_>) {
        hands.probing.insert(self.action.service.clone());
        if hands.leases.standing(&self.current) == Standing::Gone {
            return self.returned(hands);
        }
        // One that refuses the probe has neither it nor what it stands for: then none should.
        if self.is_lost(hands) {
            return;
        }
        self.include_newcomers(hands);
        let life = &hands.policy.lifecycle;
        let (longest_ms, passed_ms) = (i64::from(life.probe_max_s) * 1_000, hands.now_ms - since_ms);
        let answer = match self.part {
            Part::Whole => {
                let shares = (self.yard.before, self.yard.expected);
                eased(&meter, self.yard.signal, shares, life.verify_requests)
            }
            _ => probe(&meter, self.yard.signal, life.probe_requests, passed_ms >= longest_ms),
        };
        match answer {
            ProbeAnswer::Failed if hands.may_put => {
                let reason = format!("still sick: a probe failed. {}", self.reason);
                let again = self.begin(self.action.kind.clone(), reason, ActionPhase::Applying, hands);
                self.stage = Stage::ClosingProbe { again };
            }
            ProbeAnswer::Passed => self.passed(hands),
            // Nobody asks: there is no evidence against it, and there will be none.
            ProbeAnswer::Wait if passed_ms >= 4 * longest_ms => {
                self.give_back("nothing speaks against it", hands)
            }
            ProbeAnswer::Wait | ProbeAnswer::Failed => self.stage = Stage::Probing { meter, since_ms },
        }
    }

    /// Everything goes back; of a shed load only when the rest is little.
    fn passed(&mut self, hands: &mut Hands<'_>) {
        let shed = hands.leases.live_mut(&self.current).and_then(|a| shed_of(&a.action.kind));
        match shed {
            Some(fraction) if fraction * EASES_TO >= LEAST_SHED => self.ease(fraction, hands),
            _ => self.give_back("the probe passed", hands),
        }
    }

    pub(super) fn closing_probe(&mut self, again: String, hands: &mut Hands<'_>) {
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
}

fn shed_of(kind: &ActionKind) -> Option<f64> {
    match kind {
        ActionKind::ShedLoad { fraction, .. } => *fraction,
        _ => None,
    }
}

/// Weights that give the treated part `share` of what is its own, and nothing to what others have taken out.
fn probe_weights(
    places: &Places,
    treated: impl Fn(&String, &Place) -> bool,
    others: &BTreeMap<String, f64>,
    share: f64,
) -> BTreeMap<String, u32> {
    let weight = |id: &String, place: &Place| {
        let part = if treated(id, place) { share } else { 1.0 };
        let left = 1.0 - others.get(id).copied().unwrap_or(0.0);
        // Rounded and at least 1 where anything is left; u32 saturates.
        let weight = place.weight * SCALE * part * left;
        if weight > 0.0 { weight.round().max(1.0) as u32 } else { 0 }
    };
    places.iter().map(|(id, place)| (id.clone(), weight(id, place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_gives_nothing_to_what_another_remedy_has_taken_out() {
        let place = |version: &str| Place {
            weight: 1.0,
            now: 1.0,
            version: version.into(),
            health: Health::Unknown,
            serving: true,
        };
        let places = Places::from([
            ("a".to_owned(), place("v1")),
            ("b".to_owned(), place("v2")),
            ("c".to_owned(), place("v1")),
        ]);
        let others = BTreeMap::from([("c".to_owned(), 1.0)]);
        let weights = probe_weights(&places, |_, p| p.version == "v2", &others, 0.05);
        assert_eq!(weights.into_values().collect::<Vec<_>>(), [100, 5, 0]);
    }
}
