//! Weights with leases applied, as integers.
//!
//! A `set_weights` map is partial: endpoints it does not name keep what they have. A `version:V` weight
//! is divided over the version's endpoints by their configured weights, which may leave fractions: then
//! all of the service's weights are multiplied by the smallest factor, at most [`MAX_FACTOR`], that makes
//! them whole (and rounded where none does), because only their ratio matters. Where two leases name the
//! same endpoint, the one applied later wins; leases that share none commute.

use std::collections::BTreeMap;

use crate::settings::Service;

/// What a target begins with that names a version.
pub const VERSION_PREFIX: &str = "version:";
/// The largest common factor: weights are then exact to a thousandth of their unit.
const MAX_FACTOR: u64 = 1_000;

/// A weight before it is made whole.
#[derive(Clone, Copy)]
struct Ratio {
    numerator: u64,
    denominator: u64,
}

/// The service's weights in the order of its endpoints; `maps` in the order in which they were applied.
pub(super) fn weights<'a>(
    service: &Service,
    maps: impl Iterator<Item = &'a BTreeMap<String, u32>>,
) -> Vec<u32> {
    let configured =
        service.endpoints.iter().map(|e| Ratio { numerator: u64::from(e.weight), denominator: 1 });
    let mut ratios: Vec<Ratio> = configured.collect();
    for (target, weight) in maps.flatten() {
        for (index, ratio) in shares(service, target, *weight) {
            if let Some(slot) = ratios.get_mut(index) {
                *slot = ratio;
            }
        }
    }
    let factor = ratios.iter().fold(1, |factor, ratio| common(factor, ratio.reduced_denominator()));
    ratios.iter().map(|ratio| ratio.whole(factor)).collect()
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
    let members = members(service, target);
    let weight = u64::from(weight);
    let own = |index: &usize| service.endpoints.get(*index).map_or(0, |e| u64::from(e.weight));
    let total: u64 = members.iter().map(own).sum();
    let share = |index: usize| match total {
        // Nothing to divide by: equal parts.
        0 => Ratio { numerator: weight, denominator: members.len().max(1) as u64 },
        _ => Ratio { numerator: weight * own(&index), denominator: total },
    };
    match target.starts_with(VERSION_PREFIX) {
        true => members.iter().map(|index| (*index, share(*index))).collect(),
        false => members.iter().map(|i| (*i, Ratio { numerator: weight, denominator: 1 })).collect(),
    }
}

impl Ratio {
    fn reduced_denominator(self) -> u64 {
        self.denominator / gcd(self.numerator, self.denominator).max(1)
    }

    /// Times `factor`, rounded; never 0 unless it was.
    fn whole(self, factor: u64) -> u32 {
        let doubled = 2 * self.numerator * factor / self.denominator.max(1);
        let rounded = doubled.div_ceil(2).max(u64::from(self.numerator > 0));
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
    use super::*;
    use crate::leases::sample::service;

    fn set(service: &Service, maps: &[&[(&str, u32)]]) -> Vec<u32> {
        let maps: Vec<BTreeMap<String, u32>> =
            maps.iter().map(|map| map.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()).collect();
        weights(service, maps.iter())
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
