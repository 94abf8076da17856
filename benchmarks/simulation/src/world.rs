//! One world from its first second to the last lease.

mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use tempfile::TempDir;

use crate::brain::Life;
use crate::invariants::{self, Log, Violation};
use crate::network::Network;
use crate::people;
use crate::plan::{CALM_S, DEAD_S, Fault, Faults, Plan, STEP_MS, TURBULENT_S};
use crate::proxy::Proxy;
use crate::store::Store;

/// The wall clock at the start.
const START_MS: i64 = 1_700_000_000_000;
/// Commands that wait for one proxy.
const MAX_WAITING: usize = 64;
/// Actions younger than this may still be on their way over the proxies, milliseconds.
const SPREAD_MS: i64 = 35_000;

/// What was given up so lately may still be on its way back, milliseconds.
const RETURN_MS: i64 = 5_000;

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

/// Lives through the world of `plan`; `advance` moves the clock that the proxies' leases run by.
pub async fn live(plan: Plan, mut advance: impl AsyncFnMut(Duration)) -> Outcome {
    let seed = plan.seed;
    let mut world = World::new(plan);
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
        let log = &self.brains[0].log;
        for (id, count) in holders {
            let Some(live) = log.is_live(&id, self.now_ms - RETURN_MS) else { continue };
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
