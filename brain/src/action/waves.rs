//! An action goes to one proxy first, then to a tenth, then to all. Each wave is judged against the proxies
//! that do not have it; what does not help there goes nowhere else.

use std::collections::BTreeMap;

use protocol::action::ActionKind;

use super::lifecycle::{Standing, brain_actor};
use super::operation::{Operation, Stage};
use super::steps::{Hands, News, set_phase};
use crate::domain::{ActionPhase, Effect, EffectKind};
use crate::guard::capacity::proxies_of;
use crate::state::MeshState;
use crate::verification::{Meter, Part, effect};

/// Proxies with the boot they told last.
pub type Wave = Vec<(String, String)>;

/// A wave is enough when so many bad requests were to be seen without the action.
const ENOUGH_BAD: f64 = 5.0;
/// A proxy of the first wave should see the fewest requests in so many seconds.
const SOON_S: f64 = 4.0;
/// A proxy that reported so lately serves, milliseconds.
const SERVES_MS: i64 = 2_500;

/// Splits `proxies`: each share is of all of them, cumulative, and brings one more at least.
#[must_use]
pub fn waves(mut proxies: Wave, shares: &[f64], requests: &BTreeMap<String, f64>, wanted: u64) -> Vec<Wave> {
    let all = proxies.len();
    let seen = |proxy: &(String, String)| requests.get(&proxy.0).copied().unwrap_or(0.0);
    // The quietest that still tells soon; where none does, the busiest.
    let soon = |rps: f64| rps * SOON_S >= wanted as f64;
    let first = proxies.iter().filter(|p| soon(seen(p))).min_by(|a, b| seen(a).total_cmp(&seen(b)));
    let first = first.or_else(|| proxies.iter().max_by(|a, b| seen(a).total_cmp(&seen(b)))).cloned();
    proxies.sort_by_key(|proxy| (Some(proxy) != first.as_ref(), proxy.clone()));
    let mut waves = Vec::new();
    let mut done = 0;
    for share in shares {
        // At most `all`, which is a usize.
        let until = ((share * all as f64).ceil() as usize).max(done + 1).min(all);
        let wave: Wave = proxies.iter().take(until).skip(done).cloned().collect();
        done = until;
        waves.push(wave);
    }
    waves.push(proxies.into_iter().skip(done).collect());
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// Requests a second that each proxy sends to `service`, lately.
#[must_use]
pub fn requests_by_proxy(mesh: &MeshState, service: &str) -> BTreeMap<String, f64> {
    let mut by_proxy: BTreeMap<String, f64> = BTreeMap::new();
    let endpoints = mesh.services.get(service).into_iter().flat_map(|s| s.endpoints.values());
    for (proxy, rps) in endpoints.flat_map(crate::state::Endpoint::rps_by_proxy) {
        *by_proxy.entry(proxy.clone()).or_default() += rps;
    }
    by_proxy
}

impl Operation {
    /// Whether the present wave has shown enough, and what it showed.
    pub(super) fn wave(&mut self, meter: Meter, hands: &mut Hands<'_>) -> News {
        let life = &hands.policy.lifecycle;
        let measured_ms = hands.now_ms - meter.from_ms();
        let effect = effect(&self.yard, &self.part, &meter);
        let all = meter.all().n;
        let telling = all as f64 * self.yard.before >= ENOUGH_BAD || !self.is_local();
        let enough = all >= life.verify_requests && measured_ms >= 2_000 && telling;
        let late = measured_ms >= i64::from(life.wave_max_s) * 1_000;
        let harm = effect.kind == EffectKind::Harmed && all >= 20;
        if !(enough || late || harm) {
            self.stage = Stage::Verifying(meter);
            return News::None;
        }
        let in_vain = match effect.kind {
            EffectKind::Harmed => true,
            // What a person wants is theirs to judge, short of harm.
            EffectKind::Unchanged => self.is_local() && self.incident.is_some(),
            EffectKind::Helped | EffectKind::Unknown => false,
        };
        if in_vain {
            return self.conclude(effect, hands);
        }
        self.widen(&effect, hands);
        News::None
    }

    /// Whether a proxy's own requests show what the action does there. Load and clients are shared: what one
    /// proxy refuses is hardly felt, and only harm can be told from it.
    fn is_local(&self) -> bool {
        matches!(self.part, Part::Endpoint(_) | Part::Version(_))
    }

    fn widen(&mut self, effect: &Effect, hands: &mut Hands<'_>) {
        if hands.frozen {
            let me = brain_actor(hands.brain_id);
            return self.withdraw(&me, "frozen before it had reached all proxies", hands);
        }
        if !hands.may_put {
            // Said again at the next turn, when it may.
            self.stage = Stage::Verifying(Meter::new(self.scope(), hands.now_ms));
            return;
        }
        let wave = self.waves.remove(0);
        self.treated.extend(wave.iter().map(|(id, _)| id.clone()));
        hands.leases.widen(&self.current, &wave, &effect.why, hands.now_ms, hands.out);
        set_phase(hands, &self.current, ActionPhase::Applying);
        self.stage = Stage::Applying;
    }

    /// Proxies that have come since get what the others have.
    pub(super) fn include_newcomers(&mut self, hands: &mut Hands<'_>) {
        if matches!(self.action.kind, ActionKind::Scale { .. }) {
            return;
        }
        let held = hands.leases.holders(&self.current);
        let new: Wave = proxies_of(hands.fleet, &self.action.service)
            .into_iter()
            .filter(|(id, _)| !held.contains(id))
            .collect();
        if !new.is_empty() && hands.may_put {
            self.treated.extend(new.iter().map(|(id, _)| id.clone()));
            hands.leases.widen(&self.current, &new, "these proxies have come since", hands.now_ms, hands.out);
        }
    }

    /// The proxy that does not take the action although it serves: then none should have it.
    pub(super) fn half_applied(&self, hands: &Hands<'_>) -> Option<String> {
        let serves = |id: &String| {
            let last = hands.mesh.proxies.get(id).map(|proxy| proxy.last_window_ms);
            last.is_some_and(|ms| hands.now_ms - ms <= SERVES_MS)
        };
        hands.leases.unreachable(&self.current).into_iter().find(serves)
    }

    /// Where the action stands, half being no way to stand.
    pub(super) fn standing(&self, hands: &Hands<'_>) -> Standing {
        match hands.leases.standing(&self.current) {
            Standing::Held => match self.half_applied(hands) {
                Some(proxy) => Standing::Refused(format!(
                    "{proxy} serves, but cannot be reached: not half of the proxies"
                )),
                None => Standing::Held,
            },
            standing => standing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(n: usize, shares: &[f64]) -> Vec<usize> {
        let proxies = (0..n).map(|n| (format!("p{n:03}"), String::new())).collect();
        waves(proxies, shares, &BTreeMap::new(), 50).iter().map(Vec::len).collect()
    }

    #[test]
    fn one_proxy_first_then_a_tenth_then_all() {
        assert_eq!(sizes(100, &[0.0, 0.1]), [1, 9, 90]);
        assert_eq!(sizes(20, &[0.0, 0.1]), [1, 1, 18]);
        assert_eq!(sizes(3, &[0.0, 0.1]), [1, 1, 1]);
        assert_eq!(sizes(2, &[0.0, 0.1]), [1, 1]);
        assert_eq!(sizes(1, &[0.0, 0.1]), [1]);
        assert_eq!(sizes(7, &[]), [7]);
        assert_eq!(sizes(0, &[0.0]), Vec::<usize>::new());
    }

    #[test]
    fn the_first_is_the_quietest_that_tells_soon() {
        let proxies = || ["a", "b", "c"].map(|id| (id.to_owned(), String::new())).to_vec();
        let seen =
            |a: f64, b: f64, c: f64| BTreeMap::from([("a".into(), a), ("b".into(), b), ("c".into(), c)]);
        let first = |requests| waves(proxies(), &[0.0], &requests, 50)[0][0].0.clone();
        assert_eq!(first(seen(1.0, 100.0, 20.0)), "c");
        assert_eq!(first(seen(1.0, 3.0, 2.0)), "b");
    }
}
