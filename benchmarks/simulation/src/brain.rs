//! One brain: the real control loop and the real ordering of windows, between them and the world the same
//! order as in `brain/src/runtime.rs`: take what is complete, think, write, send, answer, remember.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::brain::control_loop::{ControlLoop, LoopOptions};
use ::brain::domain::{
    Actor, Command, Event, Outcome, PersonRequest, Refusal, Reply, TickInput, TickOutput, Verb, View,
};
use ::brain::guard::RECALLED;
use ::brain::ingest::Orderer;
use ::brain::policies::Policies;
use ::brain::state::Memory;
use protocol::snapshot::ProxyStatus;
use protocol::telemetry::Window;

use crate::plan::Plan;
use crate::planted::Bug;
use crate::store::Store;

const FRESH_MS: i64 = 5_000;
const RAISE_PAUSE_MS: i64 = 10_000;
const REMEMBER_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

/// Where in a step a brain dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dies {
    Not,
    BeforeWriting,
    AfterWriting,
    /// After so many commands.
    AfterSending(usize),
}

/// What a step of a living brain led to.
#[derive(Debug, Default)]
pub struct Done {
    /// To be sent, in order.
    pub commands: Vec<Command>,
    /// It died, or its loop panicked with these words.
    pub died: Option<String>,
}

/// One life.
pub struct Life {
    pub number: u64,
    planted: Option<Bug>,
    control: ControlLoop,
    orderer: Orderer,
    pub windows: Vec<Window>,
    pub replies: Vec<Reply>,
    pub requests: Vec<(Actor, PersonRequest)>,
    pub statuses: BTreeMap<String, (i64, ProxyStatus)>,
    unwritten: VecDeque<(i64, Vec<(Actor, Event)>)>,
    raised_ms: Option<i64>,
    remembered_ms: i64,
    lessons: u64,
    pub now_ms: i64,
    pub view: View,
    /// By proxy: commands that wait, and the ticket of the one under way.
    pub lanes: BTreeMap<String, Lane>,
    pub next_ticket: u64,
    /// By service: the end of the newest window that the loop was given.
    pub newest_ms: BTreeMap<String, i64>,
}

/// Commands to one proxy, one after the other.
#[derive(Debug, Default)]
pub struct Lane {
    pub waiting: VecDeque<Command>,
    pub under_way: Option<(u64, Command, i64)>,
}

impl Life {
    /// A brain that starts on what `store` holds; `None` where that cannot be written.
    pub fn start(store: &mut Store, plan: &Plan, number: u64, now_ms: i64) -> Option<Self> {
        let epoch = store.raise_epoch(store.epoch)?;
        let mut policies = Policies::shipped().unwrap();
        policies.guard.learning_s = plan.learning_s;
        if let Some(bug) = plan.planted {
            bug.spoil(&mut policies.guard);
        }
        let first_action = store.highest("intent", "/action/id", "act-") + 1;
        let options = LoopOptions {
            epoch,
            brain_id: "lightsout".to_owned(),
            open_loop: false,
            budgets: true,
            first_incident: store.highest("incident_opened", "/incident/id", "inc-") + 1,
            first_proposal: store.highest("proposal", "/proposal/id", "prop-") + 1,
            first_action: if plan.planted == Some(Bug::GivesNamesAgain) { 1 } else { first_action },
        };
        let mut control = ControlLoop::new(policies, plan.mode, options);
        if let Some((_, bytes)) = &store.memory
            && let Ok(memory) = serde_json::from_slice::<Memory>(bytes)
        {
            control.recall(memory, now_ms);
        }
        let lately = store.records.iter().filter(|r| RECALLED.contains(&r.kind.as_str()));
        let lately = lately.filter(|r| r.at_ms().is_some_and(|at| at >= now_ms - HOUR_MS));
        let lately: Vec<_> =
            lately.filter_map(|r| Some((r.at_ms()?, r.actor.clone(), r.event().ok()?))).collect();
        control.recall_log(&lately);
        let me = Actor { kind: ::brain::domain::ActorKind::Brain, id: "lightsout".to_owned() };
        let started = Event::BrainStarted { epoch, version: "sim".to_owned() };
        if !store.append(now_ms, &[(me.clone(), started)]) {
            return None;
        }
        let mut requests = Vec::new();
        if store.is_frozen() && plan.planted != Some(Bug::ForgetsFreeze) {
            requests.push((me, PersonRequest::Freeze { revert_all: false }));
        }
        let (lessons, view) = (control.lessons(), control.view());
        Some(Self {
            number,
            planted: plan.planted,
            control,
            orderer: Orderer::default(),
            windows: Vec::new(),
            replies: Vec::new(),
            requests,
            statuses: BTreeMap::new(),
            unwritten: VecDeque::new(),
            raised_ms: None,
            remembered_ms: i64::MIN / 2,
            lessons,
            now_ms,
            view,
            lanes: BTreeMap::new(),
            next_ticket: 0,
            newest_ms: BTreeMap::new(),
        })
    }

    /// One turn, at `wall_ms` by this brain's clock.
    pub fn step(&mut self, store: &mut Store, wall_ms: i64, dies: Dies) -> Done {
        self.now_ms = self.now_ms.max(wall_ms);
        self.follow_epochs(store);
        let input = self.input(wall_ms);
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let output = self.control.tick(input);
            (output, self.control.view())
        }));
        let (output, view) = match turned {
            Ok(done) => done,
            Err(why) => {
                let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                return Done { died: Some(format!("panic: {why}")), ..Done::default() };
            }
        };
        self.view = view;
        let TickOutput { events, commands, .. } = output;
        if !events.is_empty() {
            self.unwritten.push_back((self.now_ms, events));
        }
        if dies == Dies::BeforeWriting {
            return Done { died: Some("killed".to_owned()), ..Done::default() };
        }
        let durable = self.write(store) || self.planted == Some(Bug::SendsUnwritten);
        if dies == Dies::AfterWriting {
            return Done { died: Some("killed".to_owned()), ..Done::default() };
        }
        let mut commands = self.sendable(commands, durable);
        self.remember(store);
        match dies {
            Dies::AfterSending(most) => {
                commands.truncate(most);
                Done { commands, died: Some("killed".to_owned()) }
            }
            _ => Done { commands, died: None },
        }
    }

    fn input(&mut self, wall_ms: i64) -> TickInput {
        let now_ms = self.now_ms;
        for window in std::mem::take(&mut self.windows) {
            // What is refused is counted by the real server.
            let _ = self.orderer.offer(window, now_ms);
        }
        let windows = self.orderer.take(now_ms);
        for window in &windows {
            for cell in &window.cells {
                let newest = self.newest_ms.entry(cell.service.clone()).or_insert(i64::MIN);
                *newest = (*newest).max(window.end_ms());
            }
        }
        let fresh = self.statuses.iter().filter(|(_, (at, _))| now_ms.saturating_sub(*at) <= FRESH_MS);
        let audit_ok = self.unwritten.is_empty();
        let requests = std::mem::take(&mut self.requests).into_iter();
        let heard = requests.filter(|(_, r)| {
            audit_ok
                || matches!(
                    r,
                    PersonRequest::Undo { .. } | PersonRequest::Reject { .. } | PersonRequest::Freeze { .. }
                )
        });
        TickInput {
            // As the runtime tells it: the clock may have gone back.
            now_ms: wall_ms,
            windows,
            fleet: fresh.map(|(id, (_, status))| (id.clone(), status.clone())).collect(),
            replies: std::mem::take(&mut self.replies),
            requests: heard.enumerate().map(|(n, (who, r))| (n as u64, who, r)).collect(),
            audit_ok,
        }
    }

    fn write(&mut self, store: &mut Store) -> bool {
        while let Some((at_ms, events)) = self.unwritten.front() {
            if !store.append(*at_ms, events) {
                return false;
            }
            self.unwritten.pop_front();
        }
        true
    }

    fn sendable(&mut self, commands: Vec<Command>, durable: bool) -> Vec<Command> {
        let (sent, not): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|c| durable || matches!(c.verb, Verb::Remove { .. }));
        for command in not {
            let outcome = Outcome::Refused(Refusal { status: 0, detail: "not sent".to_owned() });
            self.replies.push(Reply { command, at_ms: self.now_ms, outcome });
        }
        sent
    }

    fn remember(&mut self, store: &mut Store) {
        let lessons = self.control.lessons();
        let due = self.now_ms >= self.remembered_ms + REMEMBER_MS || lessons != self.lessons;
        if due && !store.full {
            (self.remembered_ms, self.lessons) = (self.now_ms, lessons);
            store.memory = Some((self.now_ms, serde_json::to_vec(&self.control.memory()).unwrap()));
        }
    }

    fn follow_epochs(&mut self, store: &mut Store) {
        let fresh = self.statuses.values().filter(|(at, _)| self.now_ms.saturating_sub(*at) <= FRESH_MS);
        let seen = fresh.map(|(_, status)| status.epoch.0).max().unwrap_or(0);
        let paused = self.raised_ms.is_some_and(|at| self.now_ms - at < RAISE_PAUSE_MS);
        if seen <= store.epoch || paused {
            return;
        }
        self.raised_ms = Some(self.now_ms);
        if let Some(epoch) = store.raise_epoch(seen) {
            self.control.set_epoch(epoch);
        }
    }
}
