//! The lease book: which action is held by which proxy, what to send next, when it is over. Pure:
//! replies and the fleet's status come in, events and commands go out.
//!
//! Without audit nothing is put and nothing renewed: what is live runs out by itself, and the mesh
//! falls back to its configuration (invariant 5). A freeze without revert puts nothing new and keeps
//! renewing what is live. Removing is always allowed. Leases of earlier
//! epochs that a proxy still lists are not adopted; they run out too.

use std::collections::{BTreeMap, BTreeSet};

use super::holder::{Holder, HolderState, Sent};
use crate::domain::{
    Action, ActionPhase, Actor, ActorKind, Command, Event, Outcome, Reply, TickOutput, Verb,
};
use crate::guard::Fleet;
use crate::webhook::scaler::SCALER;

/// Ended actions kept for people to look at.
const MAX_ENDED: usize = 300;
/// A renewal is told at most so often, milliseconds.
const TELL_RENEWAL_MS: i64 = 60_000;

/// Where an action stands with the proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not all have answered.
    Pending,
    /// Held by all that could be reached.
    Held,
    /// A proxy refuses it, or none could be reached.
    Refused(String),
    /// Nobody holds it any more.
    Gone,
}

#[derive(Debug)]
struct Lease {
    action: Action,
    holders: BTreeMap<String, Holder>,
    removing: Option<String>,
    told_ms: Option<i64>,
}

/// All actions, live and ended.
#[derive(Debug)]
pub struct Leases {
    live: BTreeMap<String, Lease>,
    ended: std::collections::VecDeque<Action>,
    next: u64,
    epoch: u64,
    brain_id: String,
}

/// The brain itself as an actor.
#[must_use]
pub fn brain_actor(brain_id: &str) -> Actor {
    Actor { kind: ActorKind::Brain, id: brain_id.to_owned() }
}

impl Leases {
    /// An empty book whose first action is `act-{first}`.
    #[must_use]
    pub fn new(first: u64, epoch: u64, brain_id: &str) -> Self {
        let (live, ended) = (BTreeMap::new(), std::collections::VecDeque::new());
        Self { live, ended, next: first.max(1), epoch, brain_id: brain_id.to_owned() }
    }

    /// The epoch that is shown from now on.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// The next action's id.
    pub fn next_id(&mut self) -> String {
        let id = format!("act-{}", self.next);
        self.next += 1;
        id
    }

    /// Says what will be done, and asks it of `proxies` (id and boot).
    pub fn begin(&mut self, action: Action, proxies: &[(String, String)], now_ms: i64, out: &mut TickOutput) {
        let names = proxies.iter().map(|(id, _)| id.clone()).collect();
        out.events.push((self.me(), Event::Intent { action: action.clone(), proxies: names }));
        let holders = proxies.iter().map(|(id, boot)| (id.clone(), Holder::new(boot))).collect();
        let mut lease = Lease { action, holders, removing: None, told_ms: None };
        put_where_due(&mut lease, self.epoch, now_ms, out);
        self.live.insert(lease.action.id.clone(), lease);
    }

    /// Says that more proxies will be asked for a live action, and asks them.
    pub fn widen(
        &mut self,
        id: &str,
        proxies: &[(String, String)],
        why: &str,
        now_ms: i64,
        out: &mut TickOutput,
    ) {
        let me = self.me();
        let Some(lease) = self.live.get_mut(id).filter(|l| l.removing.is_none()) else { return };
        let names = proxies.iter().map(|(id, _)| id.clone()).collect();
        let (action, why) = (lease.action.clone(), why.to_owned());
        out.events.push((me, Event::Widened { action, proxies: names, why }));
        for (proxy, boot) in proxies {
            lease.holders.entry(proxy.clone()).or_insert_with(|| Holder::new(boot));
        }
        put_where_due(lease, self.epoch, now_ms, out);
    }

    /// The proxies that were asked for an action.
    #[must_use]
    pub fn holders(&self, id: &str) -> BTreeSet<String> {
        self.live.get(id).map(|lease| lease.holders.keys().cloned().collect()).unwrap_or_default()
    }

    /// Those of them that could not be reached.
    #[must_use]
    pub fn unreachable(&self, id: &str) -> Vec<String> {
        let holders = self.live.get(id).into_iter().flat_map(|lease| &lease.holders);
        let lost = holders.filter(|(_, h)| matches!(h.state, HolderState::Unreachable | HolderState::Gone));
        lost.map(|(proxy, _)| proxy.clone()).collect()
    }

    /// Keeps an action that is only said, never sent: a recording's.
    pub fn said(&mut self, action: Action) {
        self.ended.push_front(action);
        self.ended.truncate(MAX_ENDED);
    }

    fn me(&self) -> Actor {
        brain_actor(&self.brain_id)
    }

    /// Takes a proxy's answer in.
    pub fn reply(&mut self, reply: &Reply, out: &mut TickOutput) {
        let Some(lease) = self.live.get_mut(&reply.command.action) else { return };
        let Some(holder) = lease.holders.get_mut(&reply.command.proxy) else { return };
        let first = holder.state != HolderState::Held;
        holder.answered(reply, lease.action.action.lease_ms);
        let (id, service) = (lease.action.id.clone(), lease.action.action.service.clone());
        let (incident, proxy) = (lease.action.incident.clone(), reply.command.proxy.clone());
        let event = match &reply.outcome {
            Outcome::Taken(receipt) => {
                lease.action.receipts.insert(proxy.clone(), receipt.clone());
                if matches!(reply.command.verb, Verb::Renew(_)) {
                    lease.action.renewals += 1;
                }
                let receipt = receipt.clone();
                first.then_some(Event::Receipt {
                    action: id,
                    service,
                    incident,
                    proxy: proxy.clone(),
                    receipt,
                })
            }
            Outcome::Refused(refusal) => {
                let refusal = refusal.clone();
                holder.news(&refusal).then(|| Event::Refusal {
                    action: id,
                    service,
                    incident,
                    proxy: proxy.clone(),
                    refusal,
                })
            }
            Outcome::Removed => None,
        };
        let kind = if proxy == SCALER { ActorKind::Pipeline } else { ActorKind::Proxy };
        out.events.extend(event.map(|e| (Actor { kind, id: proxy }, e)));
    }

    /// Sends what is due: first puts, retries, renewals, removals; ends what nobody holds.
    pub fn step(&mut self, now_ms: i64, fleet: &Fleet, audit_ok: bool, out: &mut TickOutput) {
        for lease in self.live.values_mut() {
            for (proxy, holder) in &mut lease.holders {
                holder.notice(fleet.get(proxy), &lease.action.id, now_ms);
            }
            let held = lease.holders.values().any(|h| h.state == HolderState::Held);
            if held && lease.removing.is_none() {
                // Who is there again gets what the others have.
                for (proxy, holder) in &mut lease.holders {
                    holder.come_back(fleet.get(proxy), now_ms);
                }
            }
            if lease.removing.is_some() {
                send(lease, Sent::Remove, self.epoch, now_ms, out);
            } else if audit_ok {
                put_where_due(lease, self.epoch, now_ms, out);
                send(lease, Sent::Renew, self.epoch, now_ms, out);
                tell_renewal(lease, &self.brain_id, now_ms, out);
            }
        }
        self.end_what_is_over(now_ms, out);
    }

    fn end_what_is_over(&mut self, now_ms: i64, out: &mut TickOutput) {
        let me = self.me();
        let over =
            |_: &String, lease: &mut Lease| lease.holders.values().all(|h| h.over(lease.removing.is_some()));
        for (_, lease) in self.live.extract_if(.., over) {
            let mut action = lease.action;
            let never_held = action.receipts.is_empty();
            action.phase = if never_held { ActionPhase::Failed } else { ActionPhase::Ended };
            action.ended_ms = Some(now_ms);
            let why = lease.removing.unwrap_or_else(|| {
                if never_held { "nobody took it".to_owned() } else { "its leases ran out".to_owned() }
            });
            self.ended.push_front(action.clone());
            self.ended.truncate(MAX_ENDED);
            out.events.push((me.clone(), Event::ActionEnded { action, why }));
        }
    }

    /// Takes an action back everywhere.
    pub fn remove(&mut self, id: &str, by: Actor, why: &str, now_ms: i64, out: &mut TickOutput) {
        let Some(lease) = self.live.get_mut(id).filter(|l| l.removing.is_none()) else { return };
        lease.removing = Some(why.to_owned());
        out.events.push((by.clone(), Event::Undo { action: lease.action.clone(), by, why: why.to_owned() }));
        lease.holders.values_mut().for_each(Holder::let_go);
        send(lease, Sent::Remove, self.epoch, now_ms, out);
    }

    /// Where an action stands.
    #[must_use]
    pub fn standing(&self, id: &str) -> Standing {
        let Some(lease) = self.live.get(id).filter(|l| l.removing.is_none()) else { return Standing::Gone };
        let mut states = lease.holders.values();
        if let Some(why) = lease.holders.values().find_map(Holder::refusal) {
            return Standing::Refused(why);
        }
        if lease.holders.values().any(|h| h.state == HolderState::Putting) {
            return Standing::Pending;
        }
        if states.any(|h| h.state == HolderState::Held) {
            return Standing::Held;
        }
        let why = lease.holders.values().find_map(|h| h.last_refusal.clone());
        why.map_or(Standing::Gone, |r| Standing::Refused(r.detail))
    }

    /// The action, to say where it stands; `None` when it is over.
    pub fn live_mut(&mut self, id: &str) -> Option<&mut Action> {
        self.live.get_mut(id).map(|l| &mut l.action)
    }

    /// The ids of all that is live.
    #[must_use]
    pub fn live_ids(&self) -> Vec<String> {
        self.live.keys().cloned().collect()
    }

    /// Newest first: live, then ended.
    #[must_use]
    pub fn all(&self) -> Vec<Action> {
        let mut live: Vec<Action> = self.live.values().map(|l| l.action.clone()).collect();
        live.sort_by_key(|a| std::cmp::Reverse(a.started_ms));
        live.into_iter().chain(self.ended.iter().cloned()).collect()
    }
}

fn put_where_due(lease: &mut Lease, epoch: u64, now_ms: i64, out: &mut TickOutput) {
    send(lease, Sent::Put, epoch, now_ms, out);
}

fn send(lease: &mut Lease, what: Sent, epoch: u64, now_ms: i64, out: &mut TickOutput) {
    for (proxy, holder) in &mut lease.holders {
        if holder.due(what, now_ms, lease.action.action.lease_ms) {
            holder.sent(what, now_ms);
            if let Some(verb) = what.verb(&lease.action, epoch) {
                out.commands.push(Command { proxy: proxy.clone(), action: lease.action.id.clone(), verb });
            }
        }
    }
}

/// The first renewal is told at once: it is the proof that the lease is kept alive.
fn tell_renewal(lease: &mut Lease, brain_id: &str, now_ms: i64, out: &mut TickOutput) {
    let due = lease.told_ms.is_none_or(|told_ms| now_ms - told_ms >= TELL_RENEWAL_MS);
    if lease.action.renewals > 0 && due {
        lease.told_ms = Some(now_ms);
        out.events.push((brain_actor(brain_id), Event::Renewed { action: lease.action.clone() }));
    }
}
