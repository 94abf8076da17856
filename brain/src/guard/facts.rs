//! What the guard looked at, in numbers: gathered once from the situation, judged from alone, and kept with
//! the verdict, so that anybody can ask the same questions of the same facts again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capacity::{holdings, proxies_of};
use super::ledger::target;
use super::refusals::{below_the_floor, out_of_proportion, unknown_to_all, usual_requests_lost};
use super::{Situation, approvals_needed};
use crate::domain::{CauseKind, Mode, Proposal};
use crate::policies::{During, KindMode};

/// A freeze window that covers the proposal now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreezeFact {
    /// Its name.
    pub name: String,
    /// Whether it binds people too.
    pub denies: bool,
}

/// A number, and the bound it is held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounded {
    /// What was found.
    pub found: f64,
    /// The policy's bound.
    pub bound: f64,
}

/// How many, and how many may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// What was found.
    pub found: u64,
    /// The policy's bound.
    pub bound: u64,
}

/// What a kind must show before it acts alone, and what it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EarnedFact {
    /// Whether it must earn it.
    pub needed: bool,
    /// Whether its record is enough.
    pub enough: bool,
    /// Effects measured since it last did harm.
    pub trials: Counted,
    /// It helps at least so often.
    pub lower_bound: Bounded,
}

/// Everything that decides a verdict beside the proposal itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// A person has stopped everything.
    pub frozen: bool,
    /// Intents can be made durable.
    pub audit_ok: bool,
    /// So long time stands still, because this machine's clock went back.
    #[serde(default)]
    pub behind_ms: i64,
    /// Nothing is sent: a recording.
    pub open_loop: bool,
    /// Whether budgets, cooldowns and reversals count.
    pub counted: bool,
    /// This brain's epoch.
    pub epoch: u64,
    /// The highest a proxy has seen.
    pub epoch_seen: u64,
    /// Proxies that can be asked.
    pub proxies: usize,
    /// Age of the newest telemetry; absent: there is none.
    pub telemetry_age_ms: Option<i64>,
    /// Older counts as none.
    pub telemetry_max_age_ms: i64,
    /// Some telemetry contradicted itself lately.
    pub doubted: bool,
    /// The evidence does not agree on a cause.
    pub cause_unknown: bool,
    /// For so long a person's "no" still stands.
    pub refused_for_s: Option<i64>,
    /// Who asked for something live that contradicts this.
    pub contradicts: Option<String>,
    /// Something is being done about the target already.
    pub held: bool,
    /// The target rests for so long.
    pub rests_ms: i64,
    /// What of it the proxies' floor forbids, or what is out of all proportion.
    pub below_floor: Option<String>,
    /// Of the service, what would be out.
    pub service_out: Bounded,
    /// Of the fleet.
    pub fleet_out: Bounded,
    /// In so many services.
    pub services_touched: usize,
    /// Of the usual requests, what would be refused; absent: none are.
    pub requests_lost: Option<f64>,
    /// And at most may be.
    pub requests_bound: f64,
    /// Freeze windows that cover it now.
    pub freeze_windows: Vec<FreezeFact>,
    /// Of the service, what would be left and well.
    pub well: Bounded,
    /// Whether anything is taken away at all.
    pub takes: bool,
    /// Reversals of the target in the last hour.
    pub reversals: Counted,
    /// Actions in the last hour.
    pub budget: Counted,
    /// Whether the evidence rests on a learned baseline.
    pub needs_baseline: bool,
    /// Seconds of quiet traffic learned.
    pub learned_s: Counted,
    /// How far this kind may go now.
    pub mode: Mode,
    /// Its record.
    pub earned: EarnedFact,
    /// What confidence is needed to act alone.
    pub threshold: f64,
    /// Above this share two people must agree.
    pub four_eyes_above: f64,
    /// So many people must agree.
    pub people_needed: usize,
}

impl Facts {
    /// What `now` says that matters for `proposal`.
    #[must_use]
    pub fn of(proposal: &Proposal, now: &Situation<'_>) -> Self {
        let (action, policy, ledger) = (&proposal.action, now.policy, now.ledger);
        let (kind, aim) = (action.kind.name(), target(action));
        let service = now.mesh.services.get(&action.service);
        let rests_until = ledger.rests_until(&aim, policy).unwrap_or(i64::MIN);
        let (fleet_out, services_touched) = ledger.fleet_taken(now.mesh, now.fleet, Some(action), now.now_ms);
        let shares = shares(proposal, now);
        let earned = now.learned.earned(kind, &policy.autonomy);
        let windows = policy.freeze_windows.iter().filter(|w| w.covers(kind, now.now_ms));
        Self {
            frozen: now.frozen,
            audit_ok: now.audit_ok,
            behind_ms: now.behind_ms,
            open_loop: now.open_loop,
            counted: now.counted,
            epoch: now.epoch,
            epoch_seen: now.fleet.values().map(|p| p.epoch.0).max().unwrap_or(0),
            proxies: proxies_of(now.fleet, &action.service).len(),
            telemetry_age_ms: now.mesh.telemetry_age_ms(&action.service, now.now_ms),
            telemetry_max_age_ms: policy.max_telemetry_age_ms,
            doubted: service.is_some_and(|s| s.doubted_until_ms > now.now_ms),
            cause_unknown: now.cause.is_some_and(|cause| cause.kind == CauseKind::Unknown),
            refused_for_s: ledger.refused_until(&aim, now.now_ms).map(|until| (until - now.now_ms) / 1_000),
            contradicts: ledger.contradicts(action).map(str::to_owned),
            held: ledger.holds(action),
            rests_ms: rests_until.saturating_sub(now.now_ms).max(0),
            below_floor: unknown_to_all(action, now)
                .or_else(|| below_the_floor(action, ledger))
                .or_else(|| out_of_proportion(action, now)),
            service_out: Bounded { found: shares.out, bound: policy.blast_radius.service },
            fleet_out: Bounded { found: fleet_out, bound: policy.blast_radius.fleet },
            services_touched,
            requests_lost: usual_requests_lost(action, now),
            requests_bound: policy.blast_radius.requests,
            freeze_windows: windows
                .map(|w| FreezeFact { name: w.name.clone(), denies: w.then == During::Deny })
                .collect(),
            well: Bounded { found: shares.well, bound: policy.min_healthy_capacity },
            takes: shares.takes,
            reversals: counted(ledger.reversals(&aim, now.now_ms), policy.reversals_per_hour),
            budget: counted(ledger.started_lately(now.now_ms), policy.actions_per_hour),
            needs_baseline: now.needs_baseline,
            learned_s: Counted {
                found: service.map_or(0, |s| s.baseline.learned_s()),
                bound: policy.learning_s,
            },
            mode: ledger.effective_mode(kind, now.mode, policy, now.now_ms),
            earned: EarnedFact {
                needed: policy.kind(kind).mode == KindMode::Earn && !proposal.is_by_person(),
                enough: earned.enough,
                trials: Counted { found: earned.trials.into(), bound: policy.autonomy.min_trials.into() },
                lower_bound: Bounded { found: earned.lower_bound, bound: policy.autonomy.promote_at },
            },
            threshold: policy.kind(kind).threshold,
            four_eyes_above: policy.four_eyes_above,
            people_needed: approvals_needed(proposal.radius.capacity, policy),
        }
    }
}

fn counted(found: usize, bound: usize) -> Counted {
    Counted { found: found as u64, bound: bound as u64 }
}

/// What the live actions and this one together leave of its service.
struct Shares {
    out: f64,
    well: f64,
    takes: bool,
}

fn shares(proposal: &Proposal, now: &Situation<'_>) -> Shares {
    let service = &proposal.action.service;
    let of = holdings(service, now.mesh, now.fleet, now.now_ms);
    let (out, all) = now.ledger.weight_taken(service, &of, Some(&proposal.action));
    let taken = now.ledger.taken_of(service, &of, Some(&proposal.action));
    let is_well = |id: &String| !now.sick.contains(&(service.clone(), id.clone()));
    let left = of.places.iter().filter(|(id, place)| place.serving && is_well(id));
    let left: f64 = left.map(|(id, p)| p.weight * (1.0 - taken.get(id).copied().unwrap_or(0.0))).sum();
    let share = |part: f64| if all > 0.0 { part / all } else { 0.0 };
    Shares { out: share(out), well: share(left), takes: !taken.is_empty() }
}
