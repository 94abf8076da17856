//! The shares of a split among which clients are divided for good.
//!
//! Where clients keep their share, a share without a version is one share a version: otherwise weights
//! that a lease gives to versions (a canary's) would be drawn anew for every request of a client.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::id::ServiceName;

use super::view::ServiceView;
use crate::settings::{Route, SplitTarget};

/// Parts of the whole into which weights are scaled.
const WHOLE: u64 = 1_000_000;

/// The split of `route`, with one share a version, by the endpoints' weights as they are now.
pub(super) fn by_version(
    route: &Route,
    services: &BTreeMap<ServiceName, Rc<ServiceView>>,
) -> Vec<SplitTarget> {
    let most = route.split.iter().map(|share| u64::from(share.weight)).max().unwrap_or(0).max(1);
    let scale = |weight: u32| u64::from(weight) * WHOLE / most;
    let divided = |share: &SplitTarget| match services.get(&share.service) {
        Some(service) if share.version.is_none() => divided(share, scale(share.weight), service),
        _ => vec![weighing(share, share.version.clone(), scale(share.weight))],
    };
    route.split.iter().flat_map(divided).collect()
}

fn divided(share: &SplitTarget, whole: u64, service: &ServiceView) -> Vec<SplitTarget> {
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for endpoint in &service.table.endpoints {
        let live = &endpoint.live;
        if share.names(&live.settings) {
            let weight = if live.ejected { 0 } else { u64::from(live.weight) };
            *versions.entry(&live.settings.version).or_default() += weight;
        }
    }
    let total = versions.values().sum::<u64>();
    if versions.len() < 2 || total == 0 {
        return vec![weighing(share, None, whole)];
    }
    let part = |(version, weight): (&&str, &u64)| {
        // Never 0 unless it was.
        let scaled = (whole * weight).div_ceil(total);
        weighing(share, Some((*version).to_owned()), scaled)
    };
    versions.iter().map(part).collect()
}

fn weighing(share: &SplitTarget, version: Option<String>, weight: u64) -> SplitTarget {
    SplitTarget { version, weight: u32::try_from(weight).unwrap_or(u32::MAX), ..share.clone() }
}
