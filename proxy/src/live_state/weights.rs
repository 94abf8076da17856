//! Weights with leases applied, as integers.
//!
//! A `set_weights` map is partial: endpoints it does not name keep what they have. A `version:V` weight
//! is divided over the version's endpoints by their configured weights, which may leave fractions: then
//! all of the service's weights are multiplied by the smallest factor, at most [`MAX_FACTOR`], that makes
//! them whole (and rounded where none does), because only their ratio matters. Where two leases name the
//! same endpoint, the one applied later wins; leases that share none commute.

use protocol::action::ActionKind;

use crate::settings::Service;

/// What a target begins with that names a version.
pub const VERSION_PREFIX: &str = "version:";
/// The largest common factor: weights are then exact to a thousandth of their unit.
const MAX_FACTOR: u64 = 1_000;

/// What an endpoint weighs that says nothing.
const DEFAULT_WEIGHT: u32 = 100;

/// A weight before it is made whole.
#[derive(Clone, Copy)]
struct Ratio {
    numerator: u64,
    denominator: u64,
}

/// The service's weights in the order of its endpoints: as configured, or all to the version that was
/// promoted, changed by `kinds` in the order in which they were applied. What is rolled back gets nothing.
pub(super) fn weights(service: &Service, promoted: Option<&str>, kinds: &[&ActionKind]) -> Vec<u32> {
    let mut ratios: Vec<Ratio> = base(service, promoted);
    let mut set = |changes: Vec<(usize, Ratio)>| {
        for (index, ratio) in changes {
            if let Some(slot) = ratios.get_mut(index) {
                *slot = ratio;
            }
        }
    };
    for kind in kinds {
        match kind {
            ActionKind::SetWeights { weights } => {
                weights.iter().for_each(|(target, weight)| set(shares(service, target, *weight)));
            }
            ActionKind::SetCanaryWeight { stable, canary, weight, .. } => {
                let whole = whole(service, &[stable, canary]);
                let percent = u64::from(*weight).min(100);
                set(divided(service, stable, whole * (100 - percent), 100));
                set(divided(service, canary, whole * percent, 100));
            }
            _ => {}
        }
    }
    for kind in kinds {
        if let ActionKind::RollbackCanary { version } = kind {
            set(divided(service, version, 0, 1));
        }
    }
    let factor = ratios.iter().fold(1, |factor, ratio| common(factor, ratio.reduced_denominator()));
    ratios.iter().map(|ratio| ratio.whole(factor)).collect()
}

fn base(service: &Service, promoted: Option<&str>) -> Vec<Ratio> {
    let configured = |weight: u32| Ratio { numerator: u64::from(weight), denominator: 1 };
    let mut ratios: Vec<Ratio> = service.endpoints.iter().map(|e| configured(e.weight)).collect();
    let all = promoted.map(|version| divided(service, version, whole(service, &[version]), 1));
    if let Some(all) = all.filter(|all| !all.is_empty()) {
        ratios.iter_mut().for_each(|ratio| *ratio = configured(0));
        for (index, ratio) in all {
            if let Some(slot) = ratios.get_mut(index) {
                *slot = ratio;
            }
        }
    }
    ratios
}

/// What versions have together as configured; where that is nothing, as much as one usual endpoint.
fn whole(service: &Service, versions: &[&str]) -> u64 {
    let own = service.endpoints.iter().filter(|e| versions.contains(&e.version.as_str()));
    match own.map(|e| u64::from(e.weight)).sum() {
        0 => u64::from(DEFAULT_WEIGHT),
        whole => whole,
    }
}

/// `numerator / denominator` over the endpoints of a version, by their configured weights.
fn divided(service: &Service, version: &str, numerator: u64, denominator: u64) -> Vec<(usize, Ratio)> {
    let members: Vec<(usize, u64)> = service
        .endpoints
        .iter()
        .enumerate()
        .filter(|(_, e)| e.version == version)
        .map(|(index, e)| (index, u64::from(e.weight)))
        .collect();
    let total: u64 = members.iter().map(|(_, own)| own).sum();
    let part = |own: u64| match total {
        // Nothing to divide by: equal parts.
        0 => Ratio { numerator, denominator: denominator * members.len().max(1) as u64 },
        _ => Ratio { numerator: numerator * own, denominator: denominator * total },
    };
    members.iter().map(|(index, own)| (*index, part(*own))).collect()
}

/// The endpoints that `target` names, by index.
#[must_use]
pub fn members(service: &Service, target: &str) -> Vec<usize> {
    let endpoints = service.endpoints.iter().enumerate();
    match target.strip_prefix(VERSION_PREFIX) {
        Some(version) => endpoints.filter(|(_, e)| e.version == version).map(|(index, _)| index).collect(),
        None => endpoints.filter(|(_, e)| e.id.as_str() == target).map(|(index, _)| index).collect(),
    }
}

fn shares(service: &Service, target: &str, weight: u32) -> Vec<(usize, Ratio)> {
    let weight = u64::from(weight);
    match target.strip_prefix(VERSION_PREFIX) {
        Some(version) => divided(service, version, weight, 1),
        None => {
            let members = members(service, target).into_iter();
            members.map(|index| (index, Ratio { numerator: weight, denominator: 1 })).collect()
        }
    }
}

impl Ratio {
    fn reduced_denominator(self) -> u64 {
        self.denominator / gcd(self.numerator, self.denominator).max(1)
    }

    /// Times `factor`, rounded; never 0 unless it was.
    fn whole(self, factor: u64) -> u32 {
        let doubled =
            2 * u128::from(self.numerator) * u128::from(factor) / u128::from(self.denominator.max(1));
        let rounded = doubled.div_ceil(2).max(u128::from(self.numerator > 0));
        u32::try_from(rounded).unwrap_or(u32::MAX)
    }
}

fn common(a: u64, b: u64) -> u64 {
    let lcm = a / gcd(a, b).max(1) * b;
    lcm.clamp(1, MAX_FACTOR)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::leases::sample::service;

    fn set(service: &Service, maps: &[&[(&str, u32)]]) -> Vec<u32> {
        let map = |map: &&[(&str, u32)]| -> BTreeMap<String, u32> {
            map.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
        };
        let kinds: Vec<ActionKind> =
            maps.iter().map(|m| ActionKind::SetWeights { weights: map(m) }).collect();
        weights(service, None, &kinds.iter().collect::<Vec<_>>())
    }

    fn split(percent: u32) -> ActionKind {
        ActionKind::SetCanaryWeight {
            stable: "v1".into(),
            canary: "v2".into(),
            weight: percent,
            preview: None,
            copies: None,
        }
    }

    #[test]
    fn a_canary_gets_its_percent_of_what_both_versions_have() {
        let cart = service("cart", &[("v1", 100), ("v1", 100), ("v2", 0), ("v0", 30)]);
        assert_eq!(weights(&cart, None, &[&split(5)]), [95, 95, 10, 30]);
        assert_eq!(weights(&cart, None, &[&split(5), &split(100)]), [0, 0, 200, 30]);
        let idle = service("cart", &[("v1", 0), ("v2", 0)]);
        assert_eq!(weights(&idle, None, &[&split(25)]), [75, 25]);
    }

    #[test]
    fn what_is_rolled_back_gets_nothing_whenever_that_was_said() {
        let cart = service("cart", &[("v1", 100), ("v2", 100)]);
        let back = ActionKind::RollbackCanary { version: "v2".into() };
        assert_eq!(weights(&cart, None, &[&back]), [100, 0]);
        assert_eq!(weights(&cart, None, &[&back, &split(50)]), [100, 0]);
    }

    #[test]
    fn a_promoted_version_gets_all_and_is_the_next_canarys_stable_one() {
        let cart = service("cart", &[("v0", 40), ("v1", 0), ("v1", 0), ("v2", 0)]);
        assert_eq!(weights(&cart, Some("v1"), &[]), [0, 50, 50, 0]);
        assert_eq!(weights(&cart, Some("v1"), &[&split(10)]), [0, 45, 45, 10]);
        assert_eq!(weights(&cart, Some("v9"), &[]), [40, 0, 0, 0], "a version that is gone");
    }

    #[test]
    fn a_partial_map_leaves_the_others_as_they_are() {
        let cart = service("cart", &[("v1", 100), ("v1", 100), ("v2", 50)]);
        assert_eq!(set(&cart, &[]), [100, 100, 50]);
        assert_eq!(set(&cart, &[&[("10.0.0.2:80", 5)]]), [100, 5, 50]);
    }

    #[test]
    fn a_versions_weight_is_divided_by_configured_weights() {
        let cart = service("cart", &[("v1", 100), ("v1", 300), ("v2", 50)]);
        assert_eq!(set(&cart, &[&[("version:v1", 80)]]), [20, 60, 50]);
    }

    #[test]
    fn fractions_are_kept_by_a_common_factor() {
        let cart = service("cart", &[("v1", 1), ("v1", 1), ("v1", 1), ("v2", 10)]);
        assert_eq!(set(&cart, &[&[("version:v1", 10)]]), [10, 10, 10, 30]);
        let idle = service("cart", &[("v1", 0), ("v1", 0), ("v2", 10)]);
        assert_eq!(set(&idle, &[&[("version:v1", 1)]]), [1, 1, 20]);
    }

    #[test]
    fn the_later_of_two_maps_wins_where_they_meet() {
        let cart = service("cart", &[("v1", 100), ("v2", 100)]);
        assert_eq!(set(&cart, &[&[("version:v1", 7)], &[("10.0.0.1:80", 9)]]), [9, 100]);
        assert_eq!(set(&cart, &[&[("10.0.0.1:80", 9)], &[("version:v1", 7)]]), [7, 100]);
    }
}
