//! What refusing requests takes from those who usually ask, and what no proxy would accept.

use ipnet::IpNet;
use protocol::action::ActionKind;

use super::capacity::holdings;
use super::{Ledger, Situation};
use crate::domain::ProposedAction;

/// The proxies' floor, over all live leases together.
const MAX_BLOCKS: usize = 1_024;
const MAX_BLOCKED_IPV4: u64 = 16_384;
const WIDEST_V4: u8 = 24;
const WIDEST_V6: u8 = 48;
const MOST_SHED: f64 = 0.9;

/// Of the requests a service usually gets, the share that would no longer be served with `action` on top
/// of what is live: 0 where more is asked than usual, and as much is left. `None`: it refuses nobody.
pub(super) fn usual_requests_lost(action: &ProposedAction, now: &Situation<'_>) -> Option<f64> {
    let of = holdings(&action.service, now.mesh, now.fleet, now.now_ms);
    match &action.kind {
        ActionKind::ShedLoad { fraction, .. } => {
            Some((1.0 - of.surge.max(1.0) * (1.0 - fraction.unwrap_or(0.2))).max(0.0))
        }
        ActionKind::BlockIps { cidrs } => Some(lost_at_the_edge(now, now.mesh.clients_rps(cidrs).0)),
        ActionKind::LimitRate { rps, .. } => Some(lost_at_the_edge(now, now.mesh.clients_above(*rps))),
        _ => None,
    }
}

fn lost_at_the_edge(now: &Situation<'_>, refused_rps: f64) -> f64 {
    let (asked, usual) = now.mesh.edge_rps();
    let reference = if usual > 0.0 { usual } else { asked };
    if reference <= 0.0 {
        return 0.0;
    }
    // What was asked less already, for whatever reason, is not this action's doing.
    let left = (asked - refused_rps).max(0.0);
    ((asked.min(reference) - left).max(0.0) / reference).min(1.0)
}

/// What the action names that no proxy has: it would be refused by all.
pub(super) fn unknown_to_all(action: &ProposedAction, now: &Situation<'_>) -> Option<String> {
    let places = &holdings(&action.service, now.mesh, now.fleet, now.now_ms).places;
    // A recording has no fleet, and no proxy told: nothing is known of what there is.
    if now.open_loop || places.is_empty() {
        return None;
    }
    let has_version = |version: &str| places.values().any(|place| place.version == version);
    let unknown = |name: &String| match name.strip_prefix("version:") {
        Some(version) => !has_version(version),
        None => !places.contains_key(name),
    };
    let named = match &action.kind {
        ActionKind::SetWeights { weights } => weights.keys().find(|name| unknown(name)).cloned(),
        ActionKind::RollbackCanary { version } if !has_version(version) => Some(version.clone()),
        kind => kind.endpoint().map(ToString::to_string).filter(unknown),
    };
    named.map(|name| format!("no proxy has {name} in {}", action.service))
}

/// Why so many replicas are not asked for: none would be left, or far more than there are.
pub(super) fn out_of_proportion(action: &ProposedAction, now: &Situation<'_>) -> Option<String> {
    let ActionKind::Scale { replicas } = action.kind else { return None };
    let there = holdings(&action.service, now.mesh, now.fleet, now.now_ms).places.len();
    let most = (now.policy.scale_at_most * there as f64).floor();
    if replicas == 0 {
        return Some("a service needs a replica".to_owned());
    }
    (f64::from(replicas) > most).then(|| {
        format!(
            "{replicas} replicas are more than {:.1} times the {there} there are",
            now.policy.scale_at_most
        )
    })
}

/// What of the action the proxies' floor forbids, with all live actions together.
pub(super) fn below_the_floor(action: &ProposedAction, ledger: &Ledger) -> Option<String> {
    match &action.kind {
        ActionKind::ShedLoad { fraction: Some(fraction), .. } if *fraction > MOST_SHED => {
            Some(format!("a share of {fraction} is above {MOST_SHED}"))
        }
        ActionKind::BlockIps { cidrs } => blocks(cidrs, &ledger.blocked()),
        _ => None,
    }
}

fn blocks(wanted: &[IpNet], live: &[IpNet]) -> Option<String> {
    let too_wide = |net: &&IpNet| match net {
        IpNet::V4(net) => net.prefix_len() < WIDEST_V4,
        IpNet::V6(net) => net.prefix_len() < WIDEST_V6,
    };
    if let Some(net) = wanted.iter().find(too_wide) {
        return Some(format!("{net} is wider than /{WIDEST_V4} (IPv4) or /{WIDEST_V6} (IPv6)"));
    }
    let all: Vec<IpNet> = wanted.iter().chain(live).copied().collect();
    if all.len() > MAX_BLOCKS {
        return Some(format!("{} blocks with all that are live, {MAX_BLOCKS} are the most", all.len()));
    }
    let addresses =
        |net: &IpNet| if net.addr().is_ipv4() { 1u64 << (32 - net.prefix_len().min(32)) } else { 0 };
    let addresses: u64 = IpNet::aggregate(&all).iter().map(addresses).sum();
    (addresses > MAX_BLOCKED_IPV4).then(|| {
        format!("{addresses} blocked IPv4 addresses with all that are live, {MAX_BLOCKED_IPV4} are the most")
    })
}
