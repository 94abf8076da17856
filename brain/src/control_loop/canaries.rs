//! Canaries' place in the loop: they are shown what is, and what they want is kept in force by leases.
//!
//! Which lease stands for what is not kept: a brain that comes back puts afresh, and old leases run out.

mod force;
mod orders;

use std::sync::Arc;

use protocol::action::ActionKind;
use protocol::telemetry::Window;

use super::ControlLoop;
use crate::action::lifecycle::Standing;
use crate::canary::{Canary, CanaryDetail, Change, FleetSight, Looks, Sight, Trouble};
use crate::domain::{Cause, CauseKind, Event, Incident, KeptCanary, TickOutput};

/// Before what was refused or lost is tried again, milliseconds.
const RETRY_MS: i64 = 5_000;
/// Finished rollouts that people can look at.
const MAX_FINISHED: usize = 100;
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
            let asked = rollout.canary.is_previewed();
            rollout.looks.observe(window, &rollout.canary.spec, asked);
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
        } else if self.behind_ms > 0 {
            Some("this machine's clock went back: wait until it has caught up")
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
}
