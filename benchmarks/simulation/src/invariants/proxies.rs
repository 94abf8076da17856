//! What each proxy holds, against a ledger of what it was seen to take.

use std::collections::BTreeMap;

use ::brain::domain::{Command, Outcome, Verb};
use ::proxy::control::View;
use ::proxy::live_state::HeldBreaker;
use ipnet::IpNet;

use super::Findings;
use crate::proxy::Proxy;

/// A lease may outlive its end by this, milliseconds.
const LATE_MS: i64 = 1_000;
const MIN_CAPACITY: f64 = 0.5;
const MOST_SHED: f64 = 0.9;
const MOST_BLOCKED: u64 = 16_384;

/// What was seen of one proxy, over all its lives.
#[derive(Debug, Default)]
struct Seen {
    epoch: u64,
    /// By action: when it must be over.
    ends_ms: BTreeMap<String, i64>,
}

/// What was seen of all.
#[derive(Debug, Default)]
pub struct Proxies {
    seen: BTreeMap<String, Seen>,
    /// By action: when the first proxy took it.
    first_ms: BTreeMap<String, i64>,
}

impl Proxies {
    /// A command was carried out, or refused, at `now_ms`.
    pub fn obeyed(
        &mut self,
        proxy: &str,
        command: &Command,
        outcome: &Outcome,
        (before, after): (&View, &View),
        findings: &mut Findings,
    ) {
        let seen = self.seen.entry(proxy.to_owned()).or_default();
        let (epoch, lease_ms) = match &command.verb {
            Verb::Put(request) => (request.epoch.0, Some(request.lease_ms)),
            Verb::Renew(request) => (request.epoch.0, Some(request.lease_ms)),
            Verb::Remove { epoch } => (*epoch, None),
        };
        let obeyed = !matches!(outcome, Outcome::Refused(_));
        let (was, is) = (&before.table.live.hash, &after.table.live.hash);
        if !obeyed {
            findings.check("refused-changes-nothing", was == is, || {
                format!("{proxy} refused {command:?} and changed its live state")
            });
            return;
        }
        // "It is not there" is an answer to a stale brain's removal too; it changes nothing.
        let nothing_done = matches!(outcome, Outcome::Removed) && was == is;
        findings.check("epoch-fencing", nothing_done || epoch >= seen.epoch, || {
            format!("{proxy} has obeyed epoch {}, and then {epoch}: {command:?}", seen.epoch)
        });
        if !nothing_done {
            seen.epoch = seen.epoch.max(epoch);
        }
        let frozen = before.persisted.frozen;
        findings.check("kill-switch", !frozen || lease_ms.is_none(), || {
            format!("{proxy} is frozen and took {command:?}")
        });
        let repeated = matches!(command.verb, Verb::Put(_))
            && before.leases.iter().any(|l| l.receipt.id.as_str() == command.action);
        if let (Some(lease_ms), false) = (lease_ms, repeated) {
            let ends_ms = findings.now_ms + i64::try_from(lease_ms).unwrap_or(i64::MAX);
            seen.ends_ms.insert(command.action.clone(), ends_ms);
            self.first_ms.entry(command.action.clone()).or_insert(findings.now_ms);
        }
    }

    /// By action: when the first proxy took it, milliseconds since the start.
    pub fn first_taken(&self) -> &BTreeMap<String, i64> {
        &self.first_ms
    }

    /// Looks at what a proxy holds now.
    pub fn look(&mut self, proxy: &Proxy, findings: &mut Findings) {
        let (name, view) = (&proxy.name, proxy.view());
        let seen = self.seen.entry(name.clone()).or_default();
        let held = view.persisted.epoch.0;
        findings.check("epoch-fencing", held >= seen.epoch, || {
            format!("{name} has obeyed epoch {} and remembers {held}", seen.epoch)
        });
        let frozen_with = view.persisted.frozen && !view.leases.is_empty();
        findings.check("kill-switch", !frozen_with, || format!("{name} is frozen and holds leases"));
        for lease in &view.leases {
            let id = lease.receipt.id.as_str();
            let end_ms = seen.ends_ms.get(id).copied();
            let late = end_ms.is_none_or(|end_ms| findings.now_ms > end_ms + LATE_MS);
            findings.check("lease-expiry", !late, || format!("{name} still holds {id}, due {end_ms:?}"));
        }
        for (service, live) in &view.table.live.services {
            let all: f64 = live.endpoints.iter().map(|e| f64::from(e.settings.weight)).sum();
            let out = |e: &&::proxy::live_state::LiveEndpoint| {
                e.ejected || e.weight == 0 || e.breaker == HeldBreaker::Open
            };
            let lost: f64 = live.endpoints.iter().filter(out).map(|e| f64::from(e.settings.weight)).sum();
            findings.check("floor", all - lost >= all * MIN_CAPACITY - 1e-9, || {
                format!("{name} keeps {} of {all} of {service}", all - lost)
            });
            findings.check("floor-shed", live.shed.fraction <= MOST_SHED, || {
                format!("{name} sheds {} of {service}", live.shed.fraction)
            });
        }
        let nets = &view.table.live.blocks;
        let size = |net: &IpNet| match net {
            IpNet::V4(net) => 1u64 << (32 - net.prefix_len()),
            IpNet::V6(_) => 0,
        };
        let wide = |net: &IpNet| match net {
            // Neighbours may be joined: what was asked is looked at, not what came of it.
            IpNet::V4(_) => false,
            IpNet::V6(net) => net.prefix_len() < 48,
        };
        let asked = view.leases.iter().filter_map(|lease| match &lease.request.kind {
            protocol::action::ActionKind::BlockIps { cidrs } => Some(cidrs),
            _ => None,
        });
        let too_wide =
            asked.flatten().any(|net| matches!(net, IpNet::V4(n) if n.prefix_len() < 24) || wide(net));
        let covered: u64 = nets.iter().map(size).sum();
        findings.check("floor-blocks", !too_wide && covered <= MOST_BLOCKED, || {
            format!("{name} blocks {covered} addresses: {nets:?}")
        });
    }
}
