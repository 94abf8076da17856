//! The ledger: what is live, what was done, what people decided. The guard reads it; only the
//! control loop writes.

use std::collections::{BTreeMap, VecDeque};

use protocol::action::ActionKind;

use super::capacity::{Fleet, Holdings, holdings, taken, total};
use crate::domain::{Mode, ProposedAction};
use crate::policies::GuardPolicy;
use crate::state::MeshState;

const HOUR_MS: i64 = 3_600_000;
/// Targets remembered.
const MAX_TARGETS: usize = 4_096;

/// What an action is aimed at: `cart/10.0.0.1:80`, `cart/version:v2`, `cart/clients`, `cart/replicas`, or the
/// service as a whole.
#[must_use]
pub fn target(action: &ProposedAction) -> String {
    let service = &action.service;
    match &action.kind {
        ActionKind::BlockIps { .. } | ActionKind::LimitRate { .. } => format!("{service}/clients"),
        ActionKind::SetWeights { weights } if weights.len() == 1 => {
            weights.keys().next().map_or_else(|| service.clone(), |of| format!("{service}/{of}"))
        }
        ActionKind::RollbackCanary { version }
        | ActionKind::PromoteCanary { version }
        | ActionKind::SetCanaryWeight { canary: version, .. } => format!("{service}/version:{version}"),
        ActionKind::Scale { .. } => format!("{service}/replicas"),
        kind => match kind.endpoint() {
            Some(endpoint) => format!("{service}/{endpoint}"),
            None => service.clone(),
        },
    }
}

/// Whether a live action does already all that another one would.
fn covers(live: &ProposedAction, wanted: &ProposedAction) -> bool {
    match (&live.kind, &wanted.kind) {
        (ActionKind::BlockIps { cidrs: have }, ActionKind::BlockIps { cidrs: want }) => {
            want.iter().all(|net| have.iter().any(|held| held.contains(net)))
        }
        // What is not yet refused may be, beside what is.
        (_, ActionKind::BlockIps { .. }) => false,
        _ => true,
    }
}

/// What is remembered of one target.
#[derive(Debug, Clone, Default)]
struct Target {
    ended_ms: Option<i64>,
    failures: u32,
    reversals: Vec<i64>,
    refused_until_ms: Option<i64>,
}

/// Everything the guard must remember.
#[derive(Debug, Default)]
pub struct Ledger {
    live: BTreeMap<String, ProposedAction>,
    /// Of them, those that a person asked for, and who.
    persons: BTreeMap<String, String>,
    started: VecDeque<i64>,
    targets: BTreeMap<String, Target>,
    demoted: BTreeMap<String, i64>,
    bounds: BTreeMap<String, Mode>,
}

impl Ledger {
    /// A change is live from now on, under the id of its case.
    pub fn begin(&mut self, id: &str, action: ProposedAction, now_ms: i64) {
        self.live.insert(id.to_owned(), action);
        self.started.push_back(now_ms);
        while self.started.front().is_some_and(|ms| ms + HOUR_MS <= now_ms) {
            self.started.pop_front();
        }
    }

    /// It is what a person wants.
    pub fn of_person(&mut self, id: &str, person: &str) {
        self.persons.insert(id.to_owned(), person.to_owned());
    }

    /// Who asked for a live action that says something else about the target of `wanted`.
    #[must_use]
    pub fn contradicts(&self, wanted: &ProposedAction) -> Option<&str> {
        let name = target(wanted);
        let same = |action: &ProposedAction| {
            let other = target(action);
            let within =
                |part: &str, whole: &str| part.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
            let weights = |kind: &ActionKind| matches!(kind, ActionKind::SetWeights { .. });
            other == name
                || (weights(&action.kind) && within(&name, &other))
                || (weights(&wanted.kind) && within(&other, &name))
        };
        let theirs = self.persons.iter().find(|(id, _)| self.live.get(*id).is_some_and(same));
        theirs.map(|(_, person)| person.as_str())
    }

    /// What is live on a service, by the id of its case.
    #[must_use]
    pub fn live_on(&self, service: &str) -> Vec<(&str, &ProposedAction)> {
        let on = self.live.iter().filter(|(_, action)| action.service == service);
        on.map(|(id, action)| (id.as_str(), action)).collect()
    }

    /// All networks that live actions block.
    #[must_use]
    pub fn blocked(&self) -> Vec<ipnet::IpNet> {
        let nets = self.live.values().filter_map(|action| match &action.kind {
            ActionKind::BlockIps { cidrs } => Some(cidrs),
            _ => None,
        });
        nets.flatten().copied().collect()
    }

    /// It is over; `failed` when it did not do what it should.
    pub fn end(&mut self, id: &str, failed: bool, now_ms: i64) {
        self.persons.remove(id);
        let Some(action) = self.live.remove(id) else { return };
        let target = self.target_mut(&target(&action), now_ms);
        target.ended_ms = Some(now_ms);
        target.failures = if failed { target.failures.saturating_add(1) } else { 0 };
    }

    /// What was done to a target was taken back, or the trouble came back soon after.
    pub fn reversed(&mut self, target: &str, now_ms: i64) {
        let target = self.target_mut(target, now_ms);
        target.reversals.retain(|ms| ms + HOUR_MS > now_ms);
        target.reversals.push(now_ms);
    }

    /// A person said no.
    pub fn refused(&mut self, target: &str, until_ms: i64, now_ms: i64) {
        self.target_mut(target, now_ms).refused_until_ms = Some(until_ms);
    }

    /// A kind did harm: it only advises for a while.
    pub fn demote(&mut self, kind: &str, until_ms: i64) {
        self.demoted.insert(kind.to_owned(), until_ms);
    }

    /// A person bounds one kind.
    pub fn bound(&mut self, kind: &str, mode: Mode) {
        self.bounds.insert(kind.to_owned(), mode);
        self.demoted.remove(kind);
    }

    fn target_mut(&mut self, name: &str, now_ms: i64) -> &mut Target {
        if self.targets.len() >= MAX_TARGETS {
            let recent = |ms: Option<i64>| ms.is_some_and(|ms| ms + HOUR_MS > now_ms);
            self.targets.retain(|_, t| recent(t.ended_ms) || recent(t.refused_until_ms));
        }
        self.targets.entry(name.to_owned()).or_default()
    }

    /// What a kind may do now: the least of the brain's mode, the policy, a person's bound, a demotion.
    #[must_use]
    pub fn effective_mode(&self, kind: &str, global: Mode, policy: &GuardPolicy, now_ms: i64) -> Mode {
        let demoted = self.demoted.get(kind).is_some_and(|until| *until > now_ms);
        let demotion = if demoted { Mode::Advisory } else { Mode::Autonomous };
        let bound = self.bounds.get(kind).copied().unwrap_or(Mode::Autonomous);
        global.min(policy.kind(kind).mode.bound()).min(bound).min(demotion)
    }

    /// Until when a target rests after its last action; doubled with each failure on it.
    #[must_use]
    pub fn rests_until(&self, target: &str, policy: &GuardPolicy) -> Option<i64> {
        let target = self.targets.get(target)?;
        let seconds = i64::from(policy.cooldown_s) << target.failures.min(5);
        target.ended_ms.map(|ms| ms + seconds * 1_000)
    }

    /// Reversals of a target in the last hour.
    #[must_use]
    pub fn reversals(&self, target: &str, now_ms: i64) -> usize {
        let target = self.targets.get(target);
        target.map_or(0, |t| t.reversals.iter().filter(|ms| **ms + HOUR_MS > now_ms).count())
    }

    /// When something last ended on a target.
    #[must_use]
    pub fn last_ended(&self, target: &str) -> Option<i64> {
        self.targets.get(target).and_then(|t| t.ended_ms)
    }

    /// Until when a person's "no" stands.
    #[must_use]
    pub fn refused_until(&self, target: &str, now_ms: i64) -> Option<i64> {
        self.targets.get(target).and_then(|t| t.refused_until_ms).filter(|until| *until > now_ms)
    }

    /// Actions begun in the last hour.
    #[must_use]
    pub fn started_lately(&self, now_ms: i64) -> usize {
        self.started.iter().filter(|ms| **ms + HOUR_MS > now_ms).count()
    }

    /// Whether the same target is already being acted on.
    #[must_use]
    pub fn holds(&self, wanted: &ProposedAction) -> bool {
        let name = target(wanted);
        self.live.values().any(|action| target(action) == name && covers(action, wanted))
    }

    /// Which share of a service's endpoints the live actions and `extra` take away together: by
    /// endpoint the larger, over endpoints the sum.
    #[must_use]
    pub fn taken_of(
        &self,
        service: &str,
        of: &Holdings,
        extra: Option<&ProposedAction>,
    ) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, f64> = BTreeMap::new();
        let live = self.live.values().chain(extra).filter(|a| a.service == service);
        for (endpoint, share) in live.flat_map(|action| taken(&action.kind, of)) {
            let most = all.entry(endpoint).or_default();
            *most = most.max(share);
        }
        all
    }

    /// What live actions other than `id` take of a service's endpoints.
    #[must_use]
    pub fn taken_beside(&self, id: &str, service: &str, of: &Holdings) -> BTreeMap<String, f64> {
        let others = self.live.iter().filter(|(live, action)| *live != id && action.service == service);
        let mut all: BTreeMap<String, f64> = BTreeMap::new();
        for (endpoint, share) in others.flat_map(|(_, action)| taken(&action.kind, of)) {
            let most = all.entry(endpoint).or_default();
            *most = most.max(share);
        }
        all
    }

    /// The weight of the service that is taken away, and its whole weight.
    #[must_use]
    pub fn weight_taken(&self, service: &str, of: &Holdings, extra: Option<&ProposedAction>) -> (f64, f64) {
        let all = total(&of.places);
        let by_endpoint = self.taken_of(service, of, extra);
        let weight = |(id, share): (&String, &f64)| {
            if id.is_empty() { share * all } else { share * of.places.get(id).map_or(0.0, |p| p.weight) }
        };
        (by_endpoint.iter().map(weight).sum::<f64>().min(all), all)
    }

    /// The share of the whole fleet's capacity taken away, each service weighed by its endpoints, and of how
    /// many services something is taken.
    #[must_use]
    pub fn fleet_taken(
        &self,
        mesh: &MeshState,
        fleet: &Fleet,
        extra: Option<&ProposedAction>,
        now_ms: i64,
    ) -> (f64, usize) {
        let mut services: std::collections::BTreeSet<&str> =
            mesh.services.keys().map(String::as_str).collect();
        services.extend(fleet.values().flat_map(|p| &p.services).map(|s| s.service.as_str()));
        services.extend(extra.map(|action| action.service.as_str()));
        let (mut lost, mut all, mut touched) = (0.0, 0.0, 0);
        for service in services {
            let of = holdings(service, mesh, fleet, now_ms);
            let (taken, weight) = self.weight_taken(service, &of, extra);
            touched += usize::from(taken > 0.0);
            // Weights of two services are not comparable; endpoints are.
            lost += if weight > 0.0 { taken / weight * of.places.len() as f64 } else { 0.0 };
            all += of.places.len() as f64;
        }
        (if all > 0.0 { lost / all } else { 0.0 }, touched)
    }
}
