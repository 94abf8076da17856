//! Whether an action may join those that are live: the proxy's own floor, over all of them together.

use std::sync::Arc;

use ipnet::IpNet;
use protocol::action::{ActionKind, ActionRequest};
use protocol::id::ActionId;

use super::validation::validate;
use super::{Lease, Leases, MAX_LEASES, Refusal};
use crate::live_state::{LiveState, blocks, derive};
use crate::settings::Settings;

/// The most blocked networks over all leases, as written.
const MAX_BLOCKS: usize = 1_024;
/// The most blocked IPv4 addresses over all leases.
const MAX_BLOCKED_IPV4: u64 = 16_384;
/// A share this close to the floor is at the floor: weights are exact, their quotients are not.
const TOLERANCE: f64 = 1e-9;

/// The live state with one more lease, which must be the latest in `with`.
///
/// # Errors
/// A [`Refusal`] when `request` is impossible in itself, or when all of them together cross the floor.
pub fn admit(settings: &Arc<Settings>, with: &Leases, request: &ActionRequest) -> Result<LiveState, Refusal> {
    validate(settings, request)?;
    if with.len() > MAX_LEASES {
        return Err(Refusal::Floor(format!("{MAX_LEASES} leases are live: undo one first")));
    }
    let live = derive(settings, with);
    floor(&live, with)?;
    promotable(&live, request)?;
    Ok(live)
}

/// A version that is to carry a service alone must be large enough for it.
fn promotable(live: &LiveState, request: &ActionRequest) -> Result<(), Refusal> {
    let ActionKind::PromoteCanary { version } = &request.kind else { return Ok(()) };
    let Some(service) = live.services.get(&request.service) else { return Ok(()) };
    let (share, floor) = (service.share_of_version(version), live.settings.floor.min_capacity);
    if share + TOLERANCE < floor {
        let (share, floor) = (share * 100.0, floor * 100.0);
        return Err(Refusal::Floor(format!(
            "{version} has {share:.1} % of the weight that the other versions of {} have; the floor is {floor:.1} %",
            request.service
        )));
    }
    Ok(())
}

/// The leases that may stay, and the others with the reason: all of them where they fit together, else
/// in the order in which they were applied. Asked whenever leases have gone or the configuration has
/// changed, because a lease may have been taken only thanks to another that is no longer there.
#[must_use]
pub fn fitting(settings: &Arc<Settings>, leases: &Leases) -> (Leases, Vec<(Lease, Refusal)>) {
    let applied = leases.as_applied();
    let all_valid = applied.iter().all(|lease| validate(settings, &lease.request).is_ok());
    if all_valid && floor(&derive(settings, leases), leases).is_ok() {
        return (leases.clone(), Vec::new());
    }
    let (mut kept, mut dropped) = (Vec::<ActionId>::new(), Vec::new());
    for lease in applied {
        let id = &lease.receipt.id;
        let trial = leases.only(|other| kept.contains(other) || other == id);
        match admit(settings, &trial, &lease.request) {
            Ok(_) => kept.push(id.clone()),
            Err(why) => dropped.push((lease.clone(), why)),
        }
    }
    (leases.only(|id| kept.contains(id)), dropped)
}

fn floor(live: &LiveState, leases: &Leases) -> Result<(), Refusal> {
    let min_capacity = live.settings.floor.min_capacity;
    for (name, service) in &live.services {
        let share = service.servable_share();
        if share + TOLERANCE < min_capacity {
            let (share, floor) = (share * 100.0, min_capacity * 100.0);
            return Err(Refusal::Floor(format!(
                "{share:.1} % of the configured weight of {name} would stay servable with all live leases \
                 together; the floor is {floor:.1} %"
            )));
        }
    }
    let applied = leases.as_applied();
    let entries: usize = applied.iter().map(|lease| networks(lease).len()).sum();
    if entries > MAX_BLOCKS {
        return Err(Refusal::Floor(format!("{entries} blocks over all leases; {MAX_BLOCKS} are the most")));
    }
    let addresses = blocks::ipv4_addresses(&live.blocks);
    if addresses > MAX_BLOCKED_IPV4 {
        let most = MAX_BLOCKED_IPV4;
        return Err(Refusal::Floor(format!(
            "{addresses} blocked IPv4 addresses over all leases; {most} are the most"
        )));
    }
    Ok(())
}

fn networks(lease: &Lease) -> &[IpNet] {
    match &lease.request.kind {
        ActionKind::BlockIps { cidrs } => cidrs,
        _ => &[],
    }
}
