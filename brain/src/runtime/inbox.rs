//! What arrives between two turns: windows, replies, people's requests, new policies.

use std::collections::HashMap;

use protocol::telemetry::Window;
use tokio::sync::{mpsc, oneshot};

use super::unproven;
use crate::canary::Order;
use crate::domain::{Actor, PersonAnswer, PersonRequest, Reply};
use crate::ingest::{Orderer, ProxyTable};
use crate::metrics::Metrics;
use crate::policies::Policies;

/// The most of each sort that one turn takes; the rest waits in its bounded channel.
const MAX_PER_TURN: usize = 4_096;

/// A request of a person or a pipeline, and where the answer goes.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub actor: Actor,
    /// What.
    pub request: PersonRequest,
    /// Where the answer goes; whoever does not wait for it drops it.
    pub answer: oneshot::Sender<Told>,
}

/// What a person is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The control loop's answer.
    Answered(PersonAnswer),
    /// It cannot be answered now.
    Unavailable(String),
}

/// The receiving ends of the loop's channels, and what is being ordered.
#[derive(Debug)]
pub struct Inbox {
    windows: mpsc::Receiver<Window>,
    replies: mpsc::Receiver<Reply>,
    asks: mpsc::Receiver<Ask>,
    policies: mpsc::Receiver<Policies>,
    orderer: Orderer,
    waiting: HashMap<u64, oneshot::Sender<Told>>,
    next_id: u64,
    own_replies: Vec<Reply>,
    own_requests: Vec<(Actor, PersonRequest)>,
}

impl Inbox {
    /// Empty, fed by these channels.
    #[must_use]
    pub fn new(
        windows: mpsc::Receiver<Window>,
        replies: mpsc::Receiver<Reply>,
        asks: mpsc::Receiver<Ask>,
        policies: mpsc::Receiver<Policies>,
    ) -> Self {
        Self {
            windows,
            replies,
            asks,
            policies,
            orderer: Orderer::default(),
            waiting: HashMap::new(),
            next_id: 0,
            own_replies: Vec::new(),
            own_requests: Vec::new(),
        }
    }

    /// A request that the brain makes of itself at the next turn.
    pub fn put_request(&mut self, actor: Actor, request: PersonRequest) {
        self.own_requests.push((actor, request));
    }

    /// A reply that no proxy gave.
    pub(super) fn put_reply(&mut self, reply: Reply) {
        self.own_replies.push(reply);
    }

    /// Takes what arrived and returns what is in order by now.
    pub(super) fn windows(&mut self, now_ms: i64, proxies: &ProxyTable, metrics: &Metrics) -> Vec<Window> {
        for _ in 0..MAX_PER_TURN {
            let Ok(window) = self.windows.try_recv() else { break };
            let (proxy, end_ms) = (window.proxy.clone(), window.end_ms());
            match self.orderer.offer(window, now_ms) {
                Ok(()) => {
                    metrics.windows.inc();
                    proxies.saw_window(&proxy, end_ms);
                }
                Err(refused) => {
                    metrics.windows_refused.with_label_values(&[refused.label()]).inc();
                    proxies.refused_window(&proxy);
                }
            }
        }
        self.orderer.take(now_ms)
    }

    /// What became of earlier commands.
    pub(super) fn replies(&mut self) -> Vec<Reply> {
        let mut replies = std::mem::take(&mut self.own_replies);
        while replies.len() < MAX_PER_TURN {
            let Ok(reply) = self.replies.try_recv() else { break };
            replies.push(reply);
        }
        replies
    }

    /// What people ask. While the log cannot be written only what makes the brain do less is heard.
    pub(super) fn requests(&mut self, audit_ok: bool) -> Vec<(u64, Actor, PersonRequest)> {
        let mut requests = Vec::new();
        for (actor, request) in std::mem::take(&mut self.own_requests) {
            requests.push((self.number(), actor, request));
        }
        while requests.len() < MAX_PER_TURN {
            let Ok(ask) = self.asks.try_recv() else { break };
            if !audit_ok && !makes_less(&ask.request) {
                let why =
                    "the audit log cannot be written: only undo, reject and freeze are taken until it can";
                let _ = ask.answer.send(Told::Unavailable(why.to_owned()));
                continue;
            }
            let id = self.number();
            self.waiting.insert(id, ask.answer);
            requests.push((id, ask.actor, ask.request));
        }
        requests
    }

    /// Answers people.
    pub(super) fn tell(&mut self, answers: Vec<(u64, PersonAnswer)>, durable: bool) {
        for (id, answer) in answers {
            if let Some(waiting) = self.waiting.remove(&id) {
                // Whoever went away does not need the answer.
                let _ = waiting.send(unproven(answer, durable));
            }
        }
        // Whoever is still waiting asked in this turn and was not answered: dropping says so.
        self.waiting.clear();
    }

    /// The newest policies, if they changed.
    pub(super) fn policies(&mut self) -> Option<Policies> {
        let mut newest = None;
        while let Ok(policies) = self.policies.try_recv() {
            newest = Some(policies);
        }
        newest
    }

    /// Takes nothing more.
    pub(super) fn close(&mut self) {
        self.windows.close();
        self.replies.close();
        self.asks.close();
    }

    fn number(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

fn makes_less(request: &PersonRequest) -> bool {
    matches!(
        request,
        PersonRequest::Reject { .. }
            | PersonRequest::Undo { .. }
            | PersonRequest::Freeze { .. }
            | PersonRequest::OrderCanary { order: Order::Pause | Order::Rollback, .. }
    )
}
