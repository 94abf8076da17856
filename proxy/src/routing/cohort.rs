//! A/B by sticky cohort: which share of a split a client belongs to, by the hash of its key.
//!
//! Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005):
//! each share draws, for the key, a time from an exponential distribution with its weight as rate; the
//! first wins. So each share gets its weight's part of all keys, and raising one share moves keys to
//! that share and between no others, however many there are and in whichever order they stand.
//! Consecutive intervals of [0, 1) would do so for two shares only: of three, raising the first moves
//! every boundary, and with it keys from the third to the second. Nothing is remembered: all proxies
//! agree, over restarts too.

use std::net::IpAddr;

use http::HeaderName;
use http::request::Parts;
use xxhash_rust::xxh3::xxh3_64;

use crate::settings::{Cohort, SplitTarget};
use crate::upstream::preference::key;

/// The shares of one route.
#[derive(Debug)]
pub struct Cohorts {
    shares: Vec<Share>,
}

#[derive(Debug)]
struct Share {
    /// The hash of what it is, so that its place in the file does not matter.
    seed: u64,
    weight: f64,
    version: Option<String>,
}

impl Cohorts {
    /// Over `shares` with the weights that hold now; 0 means none.
    #[must_use]
    pub fn new<'a>(shares: impl IntoIterator<Item = (&'a SplitTarget, u32)>) -> Self {
        let share = |(target, weight): (&SplitTarget, u32)| Share {
            seed: seed_of(target),
            weight: f64::from(weight),
            version: target.version.clone(),
        };
        Self { shares: shares.into_iter().map(share).collect() }
    }

    /// The share of a request by what `by` says of its client; `None` where it says nothing, or all
    /// weights are 0.
    #[must_use]
    pub fn of_request(&self, by: &Cohort, request: &Parts, client: IpAddr) -> Option<usize> {
        let pinned = by.pin.as_ref().and_then(|pin| self.pinned(pin, request));
        pinned.or_else(|| self.of(key(&by.key, request, client)?))
    }

    /// The share that a key belongs to; `None` when all weights are 0.
    #[must_use]
    pub fn of(&self, key: u64) -> Option<usize> {
        let mut first: Option<(usize, f64)> = None;
        for (at, share) in self.shares.iter().enumerate().filter(|(_, share)| share.weight > 0.0) {
            let time = -unit(mixed(key ^ share.seed)).ln() / share.weight;
            if first.is_none_or(|(_, least)| time < least) {
                first = Some((at, time));
            }
        }
        first.map(|(at, _)| at)
    }

    /// The share whose version the header `pin` names, if it has any weight.
    fn pinned(&self, pin: &HeaderName, request: &Parts) -> Option<usize> {
        let named = request.headers.get(pin)?.as_bytes();
        let wanted = |share: &Share| {
            share.weight > 0.0 && share.version.as_ref().is_some_and(|version| version.as_bytes() == named)
        };
        self.shares.iter().position(wanted)
    }
}

fn seed_of(target: &SplitTarget) -> u64 {
    let mut text = format!("{}\n{}", target.service, target.version.as_deref().unwrap_or_default());
    for (key, value) in &target.metadata {
        text.push_str(&format!("\n{key}={value}"));
    }
    xxh3_64(text.as_bytes())
}

/// Every bit of the result depends on every bit of `x` (the finaliser of `SplitMix64`, Steele et al., 2014).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A point strictly between 0 and 1.
fn unit(x: u64) -> f64 {
    ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::id::ServiceName;

    fn cohorts(weights: &[u32]) -> Cohorts {
        let target = |n: usize| SplitTarget {
            version: Some(format!("v{n}")),
            ..SplitTarget::whole(ServiceName::new("cart").unwrap())
        };
        let targets: Vec<SplitTarget> = (0..weights.len()).map(target).collect();
        Cohorts::new(targets.iter().zip(weights.iter().copied()))
    }

    fn key(n: usize) -> u64 {
        xxh3_64(format!("user-{n}").as_bytes())
    }

    #[test]
    fn ten_thousand_keys_are_divided_within_one_percent() {
        for weights in [&[50, 50][..], &[90, 10], &[99, 1], &[1, 1, 1], &[70, 20, 10], &[5, 0, 95]] {
            let cohorts = cohorts(weights);
            let mut counts = vec![0u32; weights.len()];
            (0..10_000).for_each(|n| counts[cohorts.of(key(n)).unwrap()] += 1);
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let target = 10_000.0 * f64::from(*weight) / f64::from(total);
                assert!((f64::from(*count) - target).abs() <= 100.0, "{counts:?} for {weights:?}");
            }
        }
        assert_eq!(cohorts(&[0, 0]).of(1), None);
    }

    proptest! {
        #[test]
        fn raising_one_share_moves_keys_to_it_and_between_no_others(
            weights in proptest::collection::vec(0u32..100, 1..6), raised in 0usize..6, by in 1u32..100, from in any::<u64>()
        ) {
            let raised = raised % weights.len();
            let mut more = weights.clone();
            more[raised] += by;
            let (before, after) = (cohorts(&weights), cohorts(&more));
            for n in 0..200u64 {
                let key = mixed(from.wrapping_add(n));
                let (was, is) = (before.of(key), after.of(key));
                prop_assert!(was == is || is == Some(raised), "{was:?} {is:?}");
            }
        }

        #[test]
        fn a_share_that_moves_in_the_file_keeps_its_keys(key in any::<u64>()) {
            let name = || ServiceName::new("cart").unwrap();
            let version = |v: &str| SplitTarget { version: Some(v.to_owned()), ..SplitTarget::whole(name()) };
            let (a, b) = (version("a"), version("b"));
            let (one, other) = (Cohorts::new([(&a, 1), (&b, 2)]), Cohorts::new([(&b, 2), (&a, 1)]));
            prop_assert_eq!(one.of(key).unwrap(), 1 - other.of(key).unwrap());
        }
    }
}
