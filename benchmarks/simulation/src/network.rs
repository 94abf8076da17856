//! Messages under way. Each may be lost, late, doubled, or overtaken.

use std::collections::BTreeMap;

use ::brain::domain::{Command, Outcome};
use fastrand::Rng;
use protocol::snapshot::ProxyStatus;
use protocol::telemetry::Window;

use crate::plan::{Fault, Faults, Plan};

/// How long a brain waits for an answer to a command, milliseconds.
const TIMEOUT_MS: i64 = 2_000;
/// How long it waits for a status.
const POLL_MS: i64 = 800;

/// What is sent.
#[derive(Debug, Clone)]
pub enum Message {
    /// Telemetry, to one brain.
    Window { brain: usize, window: Box<Window> },
    /// A command, from the life `life` of a brain; answers that are late are not heard.
    Command { brain: usize, life: u64, ticket: u64, command: Box<Command>, sent_ms: i64 },
    /// What became of it.
    Reply { brain: usize, life: u64, ticket: u64, command: Box<Command>, outcome: Outcome },
    /// A brain asks how a proxy is.
    Poll { brain: usize, life: u64, proxy: usize, sent_ms: i64 },
    /// It answers.
    Status { brain: usize, life: u64, status: Box<ProxyStatus> },
}

/// All that is under way, by when it arrives.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    under_way: BTreeMap<(i64, u64), Message>,
    next: u64,
    latest_ms: i64,
    pub rng: Rng,
    pub faults: Faults,
    /// Nothing goes wrong any more.
    pub calm: bool,
}

impl Network {
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            under_way: BTreeMap::new(),
            next: 0,
            latest_ms: 0,
            rng: Rng::with_seed(plan.seed ^ 0xBEEF),
            faults: Faults::new(),
            calm: false,
        }
    }

    pub fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Sends `message` between `brain` and `proxy`; whether it, or a copy of it, is under way.
    pub fn send(&mut self, now_ms: i64, brain: usize, proxy: usize, message: Message) -> bool {
        let cut = |((from, to), b, p): &((i64, i64), usize, usize)| {
            (*from..*to).contains(&now_ms) && *b == brain && *p == proxy
        };
        if !self.calm && self.plan.partitions.iter().any(cut) {
            self.count(Fault::Partition);
            return false;
        }
        let copies = if self.happens(self.plan.double, Fault::MessageDuplicated) { 2 } else { 1 };
        let mut arrives = false;
        for _ in 0..copies {
            if self.happens(self.plan.lose, Fault::MessageLost) {
                continue;
            }
            let late = self.happens(self.plan.delay, Fault::MessageDelayed);
            let delay_ms = if late { self.rng.i64(300..6_000) } else { self.rng.i64(1..120) };
            let at_ms = now_ms + delay_ms;
            if at_ms < self.latest_ms {
                self.count(Fault::MessageReordered);
            }
            self.latest_ms = self.latest_ms.max(at_ms);
            self.under_way.insert((at_ms, self.next), message.clone());
            self.next += 1;
            arrives = true;
        }
        arrives
    }

    fn happens(&mut self, share: f64, fault: Fault) -> bool {
        let happens = !self.calm && self.rng.f64() < share;
        if happens {
            self.count(fault);
        }
        happens
    }

    /// The next message that has arrived by `now_ms`.
    pub fn arrived(&mut self, now_ms: i64) -> Option<(i64, Message)> {
        let (key, _) = self.under_way.first_key_value().filter(|((at, _), _)| *at <= now_ms)?;
        let key = *key;
        Some((key.0, self.under_way.remove(&key)?))
    }
}

/// Whether whoever sent a command at `sent_ms` still listens.
pub fn is_in_time(sent_ms: i64, now_ms: i64) -> bool {
    now_ms - sent_ms < TIMEOUT_MS
}

/// The same for a status.
pub fn is_status_in_time(sent_ms: i64, now_ms: i64) -> bool {
    now_ms - sent_ms < POLL_MS
}
