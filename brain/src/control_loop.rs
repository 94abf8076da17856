//! One tick, all stages, one screen. Pure: no clock, no I/O, no randomness, the same input gives the
//! same output, byte for byte.

mod ahead;
mod approvals;
mod canaries;
mod circumstances;
mod counsel;
mod discovery;
mod lessons;
mod people;
mod picture;
mod remedies;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use protocol::telemetry::{CALLER_MIRROR, CALLER_PREVIEW};

use counsel::Consultation;

use crate::action::lifecycle::{Leases, brain_actor};
use crate::action::operation::Operation;
use crate::decision::Desk;
use crate::detection::{Findings, detect};
use crate::diagnosis::{Book, Waiting, diagnose, lingers};
use crate::domain::{Actor, CauseKind, Decision, Event, Incident, Mode, TickInput, TickOutput, View};
use crate::forecast::History;
use crate::guard::{Fleet, Ledger};
use crate::learning::Learned;
use crate::policies::Policies;
use crate::state::{Memory, MeshState, Quarantine};

/// What does not change while a brain lives.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// Above the store's and every proxy's.
    pub epoch: u64,
    /// Who the audit and the proxies see.
    pub brain_id: String,
    /// Nothing is sent, nothing learned from it: a recording.
    pub open_loop: bool,
    /// Whether budgets, cooldowns and reversal bounds count (always, but for a recording).
    pub budgets: bool,
    /// Number of the first incident, above every one in the store.
    pub first_incident: u64,
    /// Number of the first proposal, above every one in the store.
    pub first_proposal: u64,
    /// Number of the first action, above every one in the store.
    pub first_action: u64,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            epoch: 1,
            brain_id: "brain".to_owned(),
            open_loop: false,
            budgets: true,
            first_incident: 1,
            first_proposal: 1,
            first_action: 1,
        }
    }
}

/// The loop and all it remembers.
#[derive(Debug)]
pub struct ControlLoop {
    policies: Policies,
    mode: Mode,
    options: LoopOptions,
    mesh: MeshState,
    waiting: Waiting,
    book: Book,
    desk: Desk,
    ledger: Ledger,
    learned: Learned,
    consultation: Consultation,
    leases: Leases,
    operations: Vec<Operation>,
    rollouts: canaries::Rollouts,
    newcomers: discovery::Newcomers,
    ahead: ahead::Ahead,
    /// In an open loop: by incident, the ledger entries that stand for what would be live.
    said: BTreeMap<String, String>,
    sick: BTreeSet<(String, String)>,
    probing: BTreeSet<String>,
    fleet: Fleet,
    frozen: bool,
    audit_ok: bool,
    now_ms: i64,
    /// By how much the clock has gone back, where leases do not bear it: so long time stands still.
    behind_ms: i64,
}

impl ControlLoop {
    /// A loop that has seen nothing.
    #[must_use]
    pub fn new(policies: Policies, mode: Mode, options: LoopOptions) -> Self {
        Self {
            book: Book::new(options.first_incident),
            desk: Desk::new(options.first_proposal),
            leases: Leases::new(options.first_action, options.epoch, &options.brain_id),
            policies,
            mode,
            options,
            mesh: MeshState::default(),
            waiting: Waiting::new(),
            ledger: Ledger::default(),
            learned: Learned::default(),
            consultation: Consultation::default(),
            operations: Vec::new(),
            rollouts: canaries::Rollouts::default(),
            newcomers: discovery::Newcomers::default(),
            ahead: ahead::Ahead::default(),
            said: BTreeMap::new(),
            sick: BTreeSet::new(),
            probing: BTreeSet::new(),
            fleet: Fleet::new(),
            frozen: false,
            audit_ok: false,
            now_ms: 0,
            behind_ms: 0,
        }
    }

    /// A higher epoch, from the next command on: another brain was seen.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.options.epoch = epoch;
        self.leases.set_epoch(epoch);
    }

    /// One turn: windows ─▶ observe ─▶ detect ─▶ diagnose ─▶ decide ─▶ guard ─▶ act ─▶ verify.
    pub fn tick(&mut self, mut input: TickInput) -> TickOutput {
        let mut out = TickOutput::default();
        self.audit_ok = input.audit_ok;
        self.fleet = input.fleet;
        self.tell_the_time(input.now_ms, &mut out);
        for reply in &input.replies {
            self.leases.reply(reply, &mut out);
        }
        // In whichever order the proxies were heard, the picture is the same.
        input.windows.sort_by(|a, b| {
            (a.start_ms, &a.proxy, &a.boot, a.seq).cmp(&(b.start_ms, &b.proxy, &b.boot, b.seq))
        });
        for window in &mut input.windows {
            self.rollouts.observe(window);
            // Copies are nobody's requests, and who asks for a version on trial knows what it is: only rollouts
            // look at those.
            window.cells.retain(|cell| ![CALLER_MIRROR, CALLER_PREVIEW].contains(&cell.caller.as_str()));
            let status = self.fleet.get(&window.proxy);
            self.mesh.admit(window, status, self.now_ms, &self.policies.detection);
            self.operations.iter_mut().for_each(|operation| operation.observe(window));
        }
        let found = self.detect();
        self.diagnose(&found, &mut out);
        for (id, actor, request) in input.requests {
            let answer = self.answer(&actor, request, &mut out);
            out.answers.push((id, answer));
        }
        self.advance(&mut out);
        self.roll_out(&mut out);
        self.learn(&mut out);
        self.decide(&mut out);
        self.look_ahead(&mut out);
        self.leases.step(self.now_ms, &self.fleet, self.audit_ok && self.behind_ms == 0, &mut out);
        self.close(&mut out);
        self.forget_questions();
        self.mesh.settle(self.now_ms, &self.policies.detection);
        out
    }

    fn detect(&mut self) -> Findings {
        let troubled = self.book.culprits();
        let is_troubled = |service: &str| troubled.contains_key(service);
        detect(&mut self.mesh, self.now_ms, &self.policies.detection, &is_troubled)
    }

    fn diagnose(&mut self, found: &Findings, out: &mut TickOutput) {
        let known = self.book.culprits();
        let policy = &self.policies.detection;
        let diagnoses = diagnose(found, &self.mesh, &mut self.waiting, &known, self.now_ms, policy);
        for diagnosis in diagnoses {
            let mesh = &self.mesh;
            let diagnosis = self.book.shared(diagnosis, mesh, self.now_ms);
            if self.book.covers(&diagnosis, mesh) {
                continue;
            }
            let event = self.book.enter(diagnosis, self.now_ms, |since_ms| mesh.windows_digest(since_ms));
            out.events.extend(event.map(|event| (brain_actor(&self.options.brain_id), event)));
        }
        self.sick = found
            .anomalies
            .iter()
            .filter_map(|a| Some((a.service.clone(), a.endpoint()?.to_owned())))
            .collect();
        let causes = self.book.open_mut().iter().map(|case| &case.incident.cause);
        let named = causes.filter(|c| c.kind == CauseKind::BadEndpoint);
        self.sick.extend(named.filter_map(|c| c.endpoint.clone().map(|e| (c.service.clone(), e))));
    }

    /// Ends incidents that are over, and what waits for an answer about them.
    fn close(&mut self, out: &mut TickOutput) {
        let quiet_ms = i64::from(self.policies.guard.lifecycle.close_after_s) * 1_000;
        let operations = &self.operations;
        let mesh = &self.mesh;
        let held = |incident: &Incident| {
            operations.iter().any(|o| o.incident.as_ref() == Some(&incident.id)) || lingers(incident, mesh)
        };
        let closed = self.book.close(self.now_ms, quiet_ms, held);
        for event in &closed {
            if let Event::IncidentClosed { incident, .. } = event
                && let Some(action) = self.said.remove(&incident.id)
            {
                self.ledger.end(&action, false, self.now_ms);
            }
        }
        let me = self.me();
        let book = &self.book;
        for proposal in self.desk.expire(self.now_ms, |incident| book.case(incident).is_none()) {
            let over = proposal.expires_ms > self.now_ms;
            let reason = if over { "what it answered is over" } else { "nobody answered in time" };
            if let Some(case) = proposal.incident.as_deref().and_then(|id| self.book.case_mut(id)) {
                case.proposed = None;
            }
            let (by, reason) = (me.clone(), reason.to_owned());
            out.events
                .push((me.clone(), Event::Decision { proposal, decision: Decision::Expired, by, reason }));
        }
        out.events.extend(closed.into_iter().map(|event| (me.clone(), event)));
    }

    /// What people see.
    #[must_use]
    pub fn view(&self) -> View {
        picture::view(self)
    }

    /// What the load to come can be told from.
    #[must_use]
    pub fn histories(&self) -> Vec<History> {
        picture::histories(self)
    }

    /// Other policies, from the next tick on. What is learned and what is live stays.
    pub fn set_policies(&mut self, policies: Policies) {
        self.policies = policies;
    }

    /// Windows that were quarantined, and cells beyond the bound on series.
    #[must_use]
    pub fn refused(&self) -> (u64, u64) {
        (self.mesh.quarantine.total(), self.mesh.overflowed)
    }

    /// Windows that could not be true, by reason.
    #[must_use]
    pub fn quarantine(&self) -> Quarantine {
        self.mesh.quarantine
    }

    /// The loop's now: the latest it was told.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// An open incident.
    #[must_use]
    pub fn incident(&self, id: &str) -> Option<&crate::domain::Incident> {
        self.book.case(id).map(|case| &case.incident)
    }

    /// What a later life of this brain should know.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let mut memory = self.mesh.memory(self.now_ms);
        memory.learned = self.learned.clone();
        memory
    }

    /// What an earlier life of this brain knew.
    pub fn recall(&mut self, mut memory: Memory, now_ms: i64) {
        self.learned = std::mem::take(&mut memory.learned);
        self.still_demoted(now_ms);
        self.mesh.recall(memory, now_ms);
    }

    /// What the audit log says that earlier lives did and were told in the last hour, oldest first.
    pub fn recall_log(&mut self, events: &[(i64, Actor, Event)]) {
        self.ledger.recall(events, &self.policies.guard);
    }

    fn me(&self) -> Actor {
        brain_actor(&self.options.brain_id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
