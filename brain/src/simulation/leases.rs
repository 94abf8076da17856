//! The leases that the proxies of the mesh hold, what they make of the weights, and how commands change them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use protocol::action::{ActionKind, LeaseRow, Receipt};
use protocol::id::ActionId;
use protocol::snapshot::Health;

use super::Mesh;
use crate::domain::{Command, Outcome, Refusal, Reply, Verb};

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) kind: ActionKind,
    pub(super) service: String,
    pub(super) row: LeaseRow,
    pub(super) expires_ms: i64,
}

impl Mesh {
    pub(super) fn is_blocked(&self, ip: IpAddr) -> bool {
        self.leases.values().any(|lease| match &lease.kind {
            ActionKind::BlockIps { cidrs } => cidrs.iter().any(|net| net.contains(&ip)),
            _ => false,
        })
    }

    /// By endpoint: where requests of a proxy go, with leases and health checks applied; an ejection wins.
    pub(super) fn weights(&self, index: usize, proxy: &str) -> Vec<f64> {
        let name = self.specs[index].name.to_owned();
        let unhealthy = |e| self.health.get(&(name.clone(), e)) == Some(&Health::Unhealthy);
        let leased = self.leased(index, proxy).into_iter().enumerate();
        leased.map(|(e, (weight, out))| if out || unhealthy(e) { 0.0 } else { weight }).collect()
    }

    /// By endpoint: its weight with leases applied, and whether one keeps it out.
    pub(super) fn leased(&self, index: usize, proxy: &str) -> Vec<(f64, bool)> {
        let spec = &self.specs[index];
        let leases = self.leases.iter().filter(|((p, _), l)| *p == proxy && l.service == spec.name);
        let leases: Vec<&Lease> = leases.map(|(_, lease)| lease).collect();
        (0..spec.endpoints)
            .map(|e| {
                let name = Self::endpoint(index, e);
                let mut weight = 1.0;
                for lease in &leases {
                    if let ActionKind::SetWeights { weights } = &lease.kind {
                        let version = weights.get(&format!("version:{}", spec.version(e)));
                        weight = weights.get(&name).or(version).map_or(weight, |w| f64::from(*w));
                    }
                }
                (weight, leases.iter().any(|l| l.kind.endpoint().is_some_and(|e| e.as_str() == name)))
            })
            .collect()
    }

    /// Forgets all leases, as a restarted proxy does.
    pub(crate) fn restart_proxies(&mut self) {
        self.leases.clear();
        self.boot += 1;
    }

    /// The proxies that hold a live lease.
    pub(crate) fn holders(&self) -> BTreeSet<String> {
        let live = self.leases.iter().filter(|(_, l)| l.expires_ms > self.now_ms());
        live.map(|((proxy, _), _)| proxy.clone()).collect()
    }

    /// How many leases are live.
    pub(crate) fn live_leases(&self) -> usize {
        self.leases.values().filter(|l| l.expires_ms > self.now_ms()).count()
    }

    /// Carries a command out, as a proxy would.
    pub(crate) fn obey(&mut self, command: Command) -> Reply {
        let at_ms = self.now_ms() + 20;
        let key = (command.proxy.clone(), command.action.clone());
        let stamp = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let refuses = self.refuses.is_some() && self.refuses_at.is_none_or(|at| at == command.proxy);
        let outcome = match &command.verb {
            Verb::Put(_) if refuses => Outcome::Refused(self.refuses.clone().unwrap()),
            Verb::Put(request) => {
                let expires_ms = at_ms + request.lease_ms as i64;
                let receipt = Receipt {
                    id: ActionId::new(command.action.clone()).unwrap(),
                    applied_at: stamp(at_ms),
                    expires_at: stamp(expires_ms),
                    live_state_hash_before: "a".into(),
                    live_state_hash_after: "b".into(),
                    answer: None,
                };
                let row = LeaseRow { request: request.clone(), receipt: receipt.clone() };
                let service = request.service.to_string();
                let lease = Lease { kind: request.kind.clone(), service, row, expires_ms };
                self.leases.insert(key, lease);
                Outcome::Taken(receipt)
            }
            Verb::Renew(renew) => match self.leases.get_mut(&key) {
                Some(lease) => {
                    lease.expires_ms = at_ms + renew.lease_ms as i64;
                    Outcome::Taken(lease.row.receipt.clone())
                }
                None => Outcome::Refused(Refusal { status: 404, detail: "no such action".into() }),
            },
            Verb::Remove { .. } => {
                self.leases.remove(&key);
                Outcome::Removed
            }
        };
        Reply { command, at_ms, outcome }
    }
}
