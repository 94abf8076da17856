//! Drives the control loop: the only place that knows both its clock and its I/O.
//!
//! One turn every [`TICK`]: gather what is known, let the loop think, make its events durable, only then
//! send its commands, answer people, and show the new picture. When the events cannot be made durable,
//! nothing is asked of a proxy except to let go, and the writing is tried again at the next turn.

mod inbox;
mod retiring;
mod unwritten;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::action::client::{ActionClient, Unsent};
use crate::audit::{AuditStore, Record};
use crate::canary::GateCall;
use crate::clock::wall_clock_ms;
use crate::domain::{
    ActionPhase, Command, IncidentState, KeptCanary, Outcome, PersonAnswer, Refusal, Reply, TickInput,
    TickOutput, Verb, View,
};
use crate::fleet::Fleet;
use crate::ingest::ProxyTable;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::recording::Recording;
use crate::state::Memory;
use crate::webhooks::Webhooks;
pub use inbox::{Ask, Inbox, Told};
pub use retiring::Retiring;
use unwritten::Unwritten;

/// From one turn to the next.
pub const TICK: Duration = Duration::from_millis(250);
/// Between two raises of the epoch: two brains that quarrel do so slowly, and in the log.
const RAISE_PAUSE: Duration = Duration::from_secs(10);
/// An epoch beyond this is not one a brain ever took.
const MAX_EPOCH: u64 = 1 << 53;

/// What the control loop is given for one turn.
#[derive(Debug)]
pub struct Turn {
    /// New policies, from this turn on.
    pub policies: Option<Policies>,
    /// A new epoch, from this turn on.
    pub epoch: Option<u64>,
    /// Everything else.
    pub input: TickInput,
}

/// What the API shows.
#[derive(Debug, Clone)]
pub struct Live {
    /// The picture after the last turn.
    pub view: View,
    /// Whether the audit log could be written at the last turn.
    pub audit_ok: bool,
    /// Its last record.
    pub audit_seq: u64,
}

/// All that a turn needs; `T` is the control loop as one function.
pub struct Runtime<T> {
    /// Thinks: one turn in, what is to be done and the picture after it out.
    pub turn: T,
    /// The only writer of the audit log.
    pub store: AuditStore,
    /// What arrives between turns.
    pub inbox: Inbox,
    /// The proxies' latest statuses.
    pub fleet: Fleet,
    /// Who reports.
    pub proxies: ProxyTable,
    /// Sends commands.
    pub client: ActionClient,
    /// Shown by the API.
    pub live: Arc<ArcSwap<Live>>,
    /// Each record once it is durable.
    pub events: broadcast::Sender<Arc<Record>>,
    /// Counted.
    pub metrics: Metrics,
    /// What the loop was given, for replay; absent: not recorded.
    pub recording: Option<Recording>,
    /// Asks the gates of canaries; absent: nobody is asked.
    pub webhooks: Option<Webhooks>,
    /// Lets go of the log's old end; absent: all of it is kept.
    pub retiring: Option<Retiring>,
    /// What the loop knows, now and then, to be kept.
    pub memories: mpsc::Receiver<Memory>,
    /// Not yet durable.
    pub(crate) unwritten: Unwritten,
    /// Rollouts that are not yet durable.
    pub(crate) unkept: BTreeMap<String, KeptCanary>,
    /// When the epoch was last raised.
    pub(crate) raised_at: Option<Instant>,
    /// The instant of the last turn.
    pub(crate) now_ms: i64,
}

/// The parts of a [`Runtime`] that others also hold.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The proxies' latest statuses.
    pub fleet: Fleet,
    /// Who reports.
    pub proxies: ProxyTable,
    /// Shown by the API.
    pub live: Arc<ArcSwap<Live>>,
    /// Each record once it is durable.
    pub events: broadcast::Sender<Arc<Record>>,
    /// Counted.
    pub metrics: Metrics,
}

impl<T> Runtime<T>
where
    T: FnMut(Turn) -> (TickOutput, View) + Send,
{
    /// A runtime before its first turn.
    pub fn new(
        turn: T,
        store: AuditStore,
        inbox: Inbox,
        memories: mpsc::Receiver<Memory>,
        client: ActionClient,
        shared: Shared,
    ) -> Self {
        let Shared { fleet, proxies, live, events, metrics } = shared;
        Self {
            turn,
            store,
            inbox,
            fleet,
            proxies,
            client,
            live,
            events,
            metrics,
            recording: None,
            webhooks: None,
            retiring: None,
            memories,
            unwritten: Unwritten::default(),
            unkept: BTreeMap::new(),
            raised_at: None,
            now_ms: 0,
        }
    }

    /// Turns until `stop` is cancelled, then closes the store. Live leases are left to expire: a brain
    /// that stops lets go.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = interval.tick() => self.step(wall_clock_ms()).await,
            }
        }
        self.inbox.close();
        self.store.close().await;
    }

    /// One turn, at what the clock says.
    pub(crate) async fn step(&mut self, clock_ms: i64) {
        let now_ms = self.now_ms.max(clock_ms);
        self.now_ms = now_ms;
        let epoch = self.follow_epochs().await;
        let windows = self.inbox.windows(now_ms, &self.proxies, &self.metrics);
        self.recording.iter().for_each(|recording| recording.keep(&windows));
        let audit_ok = self.unwritten.is_empty() && self.unkept.is_empty();
        let input = TickInput {
            // The loop is to know where the clock has gone back.
            now_ms: clock_ms,
            windows,
            fleet: self.fleet.fresh(now_ms),
            replies: self.inbox.replies(),
            requests: self.inbox.requests(audit_ok),
            audit_ok,
        };
        let started = Instant::now();
        let (output, view) = (self.turn)(Turn { policies: self.inbox.policies(), epoch, input });
        self.metrics.tick_seconds.observe(started.elapsed().as_secs_f64());
        self.unwritten.push(now_ms, output.events);
        self.unkept.extend(output.canaries.into_iter().map(|canary| (canary.id.clone(), canary)));
        let durable = self.write().await && self.keep().await;
        self.send(output.commands, durable);
        self.ask_gates(output.calls, durable);
        if let Some(webhooks) = &self.webhooks {
            output.readings.into_iter().for_each(|call| webhooks.read(call));
        }
        self.inbox.tell(output.answers, durable);
        self.show(view);
        self.remember().await;
        self.retire().await;
    }

    /// Lets go of the log's old end, where that is due and nothing waits to be written.
    async fn retire(&mut self) {
        let Some(retiring) = self.retiring.as_mut().filter(|_| self.unwritten.is_empty()) else { return };
        for record in retiring.step(self.now_ms, &mut self.store).await {
            // Nobody listening is no error.
            let _ = self.events.send(Arc::new(record));
        }
    }

    /// Keeps what the loop knows, when it says so. A brain that cannot is a brain that learns again.
    async fn remember(&mut self) {
        let Ok(memory) = self.memories.try_recv() else { return };
        let Ok(knowledge) = serde_json::to_vec(&memory) else { return };
        if let Err(why) = self.store.remember(memory.at_ms, &knowledge).await {
            tracing::warn!("what is normal could not be kept: {why}");
        }
    }

    /// Makes events durable and publishes them; whether all are.
    async fn write(&mut self) -> bool {
        while let Some((at_ms, events)) = self.unwritten.first() {
            match self.store.append(at_ms, events).await {
                Ok(records) => {
                    for record in records {
                        // Nobody listening is no error.
                        let _ = self.events.send(Arc::new(record));
                    }
                    self.unwritten.written();
                }
                Err(why) => {
                    self.unwritten.failed(&why);
                    return false;
                }
            }
        }
        true
    }

    /// Makes rollouts durable; whether all are.
    async fn keep(&mut self) -> bool {
        if self.unkept.is_empty() {
            return true;
        }
        let canaries: Vec<KeptCanary> = self.unkept.values().cloned().collect();
        match self.store.keep_canaries(&canaries).await {
            Ok(()) => {
                self.unkept.clear();
                true
            }
            Err(why) => {
                tracing::error!("canaries stay as they are: {why}");
                false
            }
        }
    }

    /// Sends what may be sent: everything when its intent is durable, else only what lets go.
    fn send(&mut self, commands: Vec<Command>, durable: bool) {
        for command in commands {
            let letting_go = matches!(command.verb, Verb::Remove { .. });
            let sent = if durable || letting_go {
                self.client.send(command)
            } else {
                let why = "not sent: the audit log cannot be written".to_owned();
                Err(Box::new(Unsent { command, why }))
            };
            if let Err(unsent) = sent {
                let outcome = Outcome::Refused(Refusal { status: 0, detail: unsent.why });
                self.inbox.put_reply(Reply { command: unsent.command, at_ms: self.now_ms, outcome });
            }
        }
    }

    /// Asked only when it is durable that they are; a rollout asks again what is lost.
    fn ask_gates(&self, calls: Vec<GateCall>, durable: bool) {
        if let Some(webhooks) = self.webhooks.as_ref().filter(|_| durable) {
            calls.into_iter().for_each(|call| webhooks.call(call));
        }
    }

    fn show(&mut self, mut view: View) {
        view.proxies = self.fleet.views(&self.proxies, self.now_ms);
        let audit_ok = self.unwritten.is_empty();
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let open = view.incidents.iter().filter(|i| i.state == IncidentState::Open).count();
        let ended = [ActionPhase::Ended, ActionPhase::Failed];
        let live = view.actions.iter().filter(|a| !ended.contains(&a.phase)).count();
        self.metrics.incidents_open.set(gauge(open));
        self.metrics.actions_live.set(gauge(live));
        self.metrics.audit_seq.set(i64::try_from(self.store.seq()).unwrap_or(i64::MAX));
        self.metrics.audit_ok.set(i64::from(audit_ok));
        self.live.store(Arc::new(Live { view, audit_ok, audit_seq: self.store.seq() }));
    }

    /// Takes a higher epoch, durably, when a proxy has seen one: ours would be refused.
    async fn follow_epochs(&mut self) -> Option<u64> {
        let seen = self.fleet.highest_epoch(self.now_ms).filter(|seen| *seen > self.store.epoch())?;
        if self.raised_at.is_some_and(|at| at.elapsed() < RAISE_PAUSE) {
            return None;
        }
        self.raised_at = Some(Instant::now());
        if seen > MAX_EPOCH {
            tracing::error!(seen, "a proxy names an epoch that no brain ever took; it is ignored");
            return None;
        }
        match self.store.raise_epoch(seen).await {
            Ok(epoch) => {
                tracing::warn!(seen, epoch, "a proxy obeyed a higher epoch; this brain takes over");
                Some(epoch)
            }
            Err(why) => {
                tracing::error!(%why, "the epoch could not be raised");
                None
            }
        }
    }
}

/// The answer to a person whose request was carried out while the log could not be written.
fn unproven(answer: PersonAnswer, durable: bool) -> Told {
    match answer {
        PersonAnswer::Done(_) if !durable => Told::Unavailable(
            "the audit log cannot be written: what you asked will be recorded when it can, and nothing new is \
             asked of a proxy until then"
                .to_owned(),
        ),
        answer => Told::Answered(answer),
    }
}

#[cfg(test)]
#[path = "runtime/tests.rs"]
mod tests;
