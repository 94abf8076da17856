//! One world from its first second to the last lease.

use std::collections::BTreeMap;
use std::time::Duration;

use ::brain::domain::{Command, Outcome as Answer, Refusal, Reply};
use fastrand::Rng;
use tempfile::TempDir;

use crate::brain::{Dies, Life};
use crate::invariants::{self, Log, Violation};
use crate::network::{Message, Network, is_in_time, is_status_in_time};
use crate::plan::{CALM_S, DEAD_S, Fault, Faults, Plan, STEP_MS, TURBULENT_S};
use crate::proxy::Proxy;
use crate::store::Store;
use crate::{hostile, people, traffic};

/// The wall clock at the start.
const START_MS: i64 = 1_700_000_000_000;
/// Commands that wait for one proxy.
const MAX_WAITING: usize = 64;
/// Actions younger than this may still be on their way over the proxies, milliseconds.
const SPREAD_MS: i64 = 35_000;

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub steps: u64,
    pub faults: Faults,
    pub checked: BTreeMap<&'static str, u64>,
    pub violations: Vec<Violation>,
    /// Intents that were written, over all stores.
    pub intents: u64,
    /// Records that were written.
    pub records: u64,
    /// What happened, line by line.
    pub story: Vec<String>,
}

struct Slot {
    store: Store,
    life: Option<Life>,
    dead_until_ms: i64,
    clock_off_ms: i64,
    log: Log,
}

struct World {
    plan: Plan,
    rng: Rng,
    net: Network,
    proxies: Vec<Proxy>,
    brains: Vec<Slot>,
    seen: invariants::Proxies,
    findings: invariants::Findings,
    now_ms: i64,
    lives: u64,
    baseline: Vec<String>,
    _folder: TempDir,
}

/// Lives through the world of `seed`; `advance` moves the clock that the proxies' leases run by.
pub async fn run(seed: u64, mut advance: impl AsyncFnMut(Duration)) -> Outcome {
    let mut world = World::new(Plan::of(seed));
    let mut steps = 0;
    let all_ms = (TURBULENT_S + CALM_S + DEAD_S) * 1_000;
    while world.now_ms < all_ms && world.findings.violations.is_empty() {
        advance(Duration::from_millis(STEP_MS as u64)).await;
        world.step().await;
        steps += 1;
    }
    if world.findings.violations.is_empty() {
        world.all_has_ended();
    }
    let stores = || world.brains.iter().map(|slot| &slot.store);
    let line = |r: &::brain::audit::Record| format!("{} {} {} {}", r.at, r.actor.id, r.kind, r.data);
    Outcome {
        seed,
        steps,
        intents: stores().flat_map(|s| &s.records).filter(|r| r.kind == "intent").count() as u64,
        records: stores().map(|s| s.records.len() as u64).sum(),
        story: stores().flat_map(|s| s.records.iter().map(line)).collect(),
        faults: world.net.faults,
        checked: world.findings.checked,
        violations: world.findings.violations,
    }
}

impl World {
    fn new(plan: Plan) -> Self {
        let shared_memory = std::path::Path::new("/dev/shm");
        let folder =
            if shared_memory.is_dir() { tempfile::tempdir_in(shared_memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let proxies: Vec<Proxy> = (0..plan.proxies)
            .map(|n| Proxy::start(&format!("p{n}"), folder.path().join(format!("p{n}"))))
            .collect();
        let baseline = proxies.iter().map(|p| p.view().table.live.hash.clone()).collect();
        let brain = |dead_until_ms| Slot {
            store: Store::default(),
            life: None,
            dead_until_ms,
            clock_off_ms: 0,
            log: Log::default(),
        };
        Self {
            rng: Rng::with_seed(plan.seed ^ 0xD1CE),
            net: Network::new(&plan),
            brains: vec![brain(0), brain(plan.second_brain_ms.unwrap_or(i64::MAX))],
            proxies,
            seen: invariants::Proxies::default(),
            findings: invariants::Findings::default(),
            now_ms: 0,
            lives: 0,
            baseline,
            plan,
            _folder: folder,
        }
    }

    fn wall_ms(&self, brain: usize) -> i64 {
        START_MS + self.now_ms + self.brains[brain].clock_off_ms
    }

    async fn step(&mut self) {
        let before_ms = self.now_ms;
        self.now_ms += STEP_MS;
        self.findings.now_ms = self.now_ms;
        let now_ms = self.now_ms;
        let due = |at_ms: i64| before_ms < at_ms && at_ms <= now_ms;
        let (calm, dead) = (TURBULENT_S * 1_000, (TURBULENT_S + CALM_S) * 1_000);
        if due(calm) {
            self.grow_calm().await;
        }
        if due(dead) {
            self.half_applied();
            self.brains.iter_mut().for_each(|slot| (slot.life, slot.dead_until_ms) = (None, i64::MAX));
        }
        if self.now_ms <= calm {
            self.disturb(before_ms).await;
        }
        self.live();
        if self.now_ms % 1_000 == 0 {
            self.telemetry();
        }
        self.deliver().await;
        for brain in 0..self.brains.len() {
            self.think(before_ms, brain);
        }
        let Self { proxies, seen, findings, now_ms, .. } = self;
        proxies.iter().filter(|p| p.down_until_ms <= *now_ms).for_each(|p| seen.look(p, findings));
    }

    /// What the plan wants to go wrong in this step.
    async fn disturb(&mut self, before_ms: i64) {
        let now_ms = self.now_ms;
        let due = |at_ms: i64| before_ms < at_ms && at_ms <= now_ms;
        let plan = self.plan.clone();
        for (_, n) in plan.proxy_restarts.iter().filter(|(at, _)| due(*at)) {
            self.proxies[*n].restart(now_ms);
            self.net.count(Fault::ProxyRestart);
        }
        for (_, n, off) in plan.proxy_clock.iter().filter(|(at, ..)| due(*at)) {
            self.proxies[*n].clock_off_ms += off;
            self.net.count(Fault::ProxyClock);
        }
        for (_, n, off) in plan.brain_clock.iter().filter(|(at, ..)| due(*at)) {
            self.brains[*n].clock_off_ms += off;
            self.net.count(Fault::BrainClock);
        }
        for ((from, to), n) in &plan.proxy_disk {
            if due(*from) || due(*to) {
                self.proxies[*n].set_disk(due(*from));
                self.net.faults.entry(Fault::ProxyDisk).and_modify(|n| *n += 1).or_insert(1);
            }
        }
        for ((from, to), n) in &plan.brain_disk {
            if due(*from) || due(*to) {
                self.brains[*n].store.full = due(*from);
                self.net.count(Fault::BrainDisk);
            }
        }
        for ((from, to), n) in &plan.frozen {
            if due(*from) {
                // Takes effect even where it cannot be written down.
                let _ = self.proxies[*n].control.freeze().await;
                self.net.count(Fault::ProxyFrozen);
            } else if due(*to) {
                let _ = self.proxies[*n].control.unfreeze().await;
            }
        }
        let begins = plan.troubles.iter().filter(|((from, _), _)| due(*from)).count();
        (0..begins).for_each(|_| self.net.count(Fault::Trouble));
        if self.now_ms % 1_000 == 0 && self.rng.f64() < plan.people {
            let brain = self.rng.usize(0..2);
            if let Some(life) = &mut self.brains[brain].life {
                life.requests.push((people::who(&mut self.rng), people::request(&life.view, &mut self.rng)));
                self.net.count(Fault::PersonRequest);
            }
        }
    }

    /// Nothing new goes wrong: one brain stays, every disk can be written, nobody is frozen.
    async fn grow_calm(&mut self) {
        self.net.calm = true;
        (self.brains[1].life, self.brains[1].dead_until_ms) = (None, i64::MAX);
        self.brains.iter_mut().for_each(|slot| slot.store.full = false);
        self.brains[0].dead_until_ms = self.brains[0].dead_until_ms.min(self.now_ms);
        for proxy in &self.proxies {
            proxy.set_disk(false);
            proxy.control.unfreeze().await.unwrap();
        }
    }

    /// Starts brains that should live.
    fn live(&mut self) {
        for brain in 0..self.brains.len() {
            let wall_ms = self.wall_ms(brain);
            let slot = &mut self.brains[brain];
            if slot.life.is_some() || slot.dead_until_ms > self.now_ms {
                continue;
            }
            self.lives += 1;
            let again = !slot.store.records.is_empty();
            slot.life = Life::start(&mut slot.store, &self.plan, self.lives, wall_ms);
            if slot.life.is_some() && again {
                self.net.count(Fault::BrainRestart);
            } else if slot.life.is_some() && brain == 1 {
                self.net.count(Fault::SecondBrain);
            }
        }
    }

    /// One window of each proxy to each brain; each brain asks each proxy how it is.
    fn telemetry(&mut self) {
        let wall_ms = START_MS + self.now_ms;
        for n in 0..self.proxies.len() {
            if self.proxies[n].down_until_ms > self.now_ms {
                continue;
            }
            let mut window =
                traffic::window(&self.plan, &mut self.proxies[n], self.now_ms, wall_ms, &mut self.rng);
            let lies = self.plan.hostile.iter().any(|((a, b), p)| *p == n && (*a..*b).contains(&self.now_ms));
            if lies {
                hostile::falsify(&mut window, &mut self.rng);
                self.net.count(Fault::HostileWindow);
            }
            for brain in 0..self.brains.len() {
                let Some(life) = self.brains[brain].life.as_ref().map(|life| life.number) else { continue };
                let window = Box::new(window.clone());
                self.net.send(self.now_ms, brain, n, Message::Window { brain, window });
                let poll = Message::Poll { brain, life, proxy: n, sent_ms: self.now_ms };
                self.net.send(self.now_ms, brain, n, poll);
            }
        }
    }

    async fn deliver(&mut self) {
        while let Some((at_ms, message)) = self.net.arrived(self.now_ms) {
            match message {
                Message::Window { brain, window } => {
                    if let Some(life) = &mut self.brains[brain].life {
                        life.windows.push(*window);
                    }
                }
                Message::Command { brain, life, ticket, command, sent_ms } => {
                    let n = self.proxy_of(&command.proxy);
                    let outcome = self.carry_out(n, &command).await;
                    if is_in_time(sent_ms, at_ms) {
                        let reply = Message::Reply { brain, life, ticket, command, outcome };
                        self.net.send(self.now_ms, brain, n, reply);
                    }
                }
                Message::Reply { brain, life, ticket, command, outcome } => {
                    self.replied(brain, life, ticket, *command, outcome);
                }
                Message::Poll { brain, life, proxy, sent_ms } => {
                    let down = self.proxies[proxy].down_until_ms > self.now_ms;
                    if !down && is_status_in_time(sent_ms, at_ms) {
                        let status = Box::new(self.proxies[proxy].status());
                        self.net.send(self.now_ms, brain, proxy, Message::Status { brain, life, status });
                    }
                }
                Message::Status { brain, life, status } => {
                    let wall_ms = self.wall_ms(brain);
                    let living = self.brains[brain].life.as_mut().filter(|l| l.number == life);
                    if let Some(living) = living {
                        living.statuses.insert(status.proxy.to_string(), (wall_ms, *status));
                    }
                }
            }
        }
    }

    fn proxy_of(&self, name: &str) -> usize {
        self.proxies.iter().position(|p| p.name == name).unwrap_or(0)
    }

    async fn carry_out(&mut self, n: usize, command: &Command) -> Answer {
        let proxy = &self.proxies[n];
        if proxy.down_until_ms > self.now_ms {
            let detail = "connection refused".to_owned();
            return Answer::Refused(Refusal { status: 0, detail });
        }
        let before = proxy.view();
        let wall_ms = START_MS + self.now_ms + proxy.clock_off_ms;
        let outcome = proxy.obey(command, wall_ms).await;
        let views = (&before, &proxy.view());
        self.seen.obeyed(&proxy.name, command, &outcome, views, &mut self.findings);
        outcome
    }

    fn replied(&mut self, brain: usize, life: u64, ticket: u64, command: Command, outcome: Answer) {
        let at_ms = self.wall_ms(brain);
        let Some(living) = self.brains[brain].life.as_mut().filter(|l| l.number == life) else { return };
        let Some(lane) = living.lanes.get_mut(&command.proxy) else { return };
        if lane.under_way.as_ref().is_some_and(|(t, ..)| *t == ticket) {
            lane.under_way = None;
            living.replies.push(Reply { command, at_ms, outcome });
        }
    }

    /// One turn of a brain, and what it sends.
    fn think(&mut self, before_ms: i64, brain: usize) {
        let wall_ms = self.wall_ms(brain);
        let due = |(at, b, _): &&(i64, usize, i64)| before_ms < *at && *at <= self.now_ms && *b == brain;
        let dead_ms = self.plan.crashes.iter().find(due).map(|(_, _, dead_ms)| *dead_ms);
        let dies = if dead_ms.is_some() { self.death() } else { Dies::Not };
        let dead_ms = dead_ms.unwrap_or(0);
        let slot = &mut self.brains[brain];
        let Some(life) = &mut slot.life else { return };
        let done = life.step(&mut slot.store, wall_ms, dies);
        slot.log.read(&slot.store, &life.newest_ms, &mut self.findings);
        for command in done.commands {
            slot.log.sent(&command, &mut self.findings);
            let lane = life.lanes.entry(command.proxy.clone()).or_default();
            if lane.waiting.len() < MAX_WAITING {
                lane.waiting.push_back(command);
            } else {
                life.replies.push(unheard(command, wall_ms));
            }
        }
        self.send_lanes(brain);
        if let Some(why) = done.died {
            self.findings.check("chain", !why.starts_with("panic"), || why.clone());
            self.brains[brain].life = None;
            self.brains[brain].dead_until_ms = self.now_ms + dead_ms;
            self.net.count(Fault::BrainCrash);
        }
    }

    fn death(&mut self) -> Dies {
        match self.rng.u8(0..4) {
            0 => Dies::BeforeWriting,
            1 => Dies::AfterWriting,
            _ => Dies::AfterSending(self.rng.usize(0..4)),
        }
    }

    fn send_lanes(&mut self, brain: usize) {
        let (now_ms, wall_ms) = (self.now_ms, self.wall_ms(brain));
        let Some(mut life) = self.brains[brain].life.take() else { return };
        for lane in life.lanes.values_mut() {
            if lane.under_way.as_ref().is_some_and(|(_, _, sent_ms)| !is_in_time(*sent_ms, now_ms))
                && let Some((_, command, _)) = lane.under_way.take()
            {
                life.replies.push(unheard(command, wall_ms));
            }
            if lane.under_way.is_none()
                && let Some(command) = lane.waiting.pop_front()
            {
                let ticket = life.next_ticket;
                life.next_ticket += 1;
                let n = self.proxies.iter().position(|p| p.name == command.proxy).unwrap_or(0);
                let boxed = Box::new(command.clone());
                lane.under_way = Some((ticket, command, now_ms));
                let message =
                    Message::Command { brain, life: life.number, ticket, command: boxed, sent_ms: now_ms };
                self.net.send(now_ms, brain, n, message);
            }
        }
        self.brains[brain].life = Some(life);
    }

    /// At the end of the calm: what is not just spreading is everywhere or nowhere.
    fn half_applied(&mut self) {
        let cutoff_ms = self.now_ms - SPREAD_MS;
        let applied = self.seen.first_taken();
        let mut holders: BTreeMap<String, usize> = BTreeMap::new();
        for proxy in &self.proxies {
            for lease in proxy.view().leases {
                if applied.get(lease.receipt.id.as_str()).is_some_and(|at| *at < cutoff_ms) {
                    *holders.entry(lease.receipt.id.to_string()).or_default() += 1;
                }
            }
        }
        let all = self.proxies.len();
        let known = self.brains[0].log.ids();
        for (id, count) in holders {
            let live = known.get(id.as_str()).copied().unwrap_or(false);
            self.findings.check("never-half", count == all && live, || {
                format!("{id} is on {count} of {all} proxies; the log calls it live: {live}")
            });
        }
    }

    /// At the very end: every proxy does what its file says.
    fn all_has_ended(&mut self) {
        for (proxy, baseline) in self.proxies.iter().zip(&self.baseline) {
            let view = proxy.view();
            let well = view.leases.is_empty() && view.table.live.hash == *baseline;
            self.findings.check("all-ends", well, || format!("{} holds {:?}", proxy.name, view.leases));
        }
    }
}

fn unheard(command: Command, at_ms: i64) -> Reply {
    let detail = "no answer in time".to_owned();
    let outcome = Answer::Refused(Refusal { status: 0, detail });
    Reply { command, at_ms, outcome }
}
