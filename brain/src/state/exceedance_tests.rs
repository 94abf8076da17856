//! A calibrated threshold is exceeded as often as it says: for tails of several kinds, per service and hour, within
//! Poisson bands.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::Tail;

/// Uniform numbers from a seed (Steele, Lea and Flood 2014).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }
}

/// How a service's statistic is spread: exponential, squared exponential root, sum of two, mostly nothing.
fn drawn(kind: u8, dice: &mut Uniform) -> f64 {
    let one = -dice.next().ln();
    match kind {
        0 => one,
        1 => one.powf(0.8),
        2 => one - dice.next().ln(),
        _ => {
            if dice.next() < 0.5 {
                one
            } else {
                0.0
            }
        }
    }
}

/// Bounds within which a Poisson count of this mean falls but for one time in about 100,000.
fn band(mean: f64) -> (f64, f64) {
    ((mean - 4.3 * mean.sqrt()).max(0.0), mean + 4.3 * mean.sqrt() + 6.0)
}

/// Services over which exceedances are counted.
const SERVICES: usize = 16;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn exceedances_of_a_calibrated_threshold_lie_inside_poisson_bands(seed in any::<u64>(), kind in 0u8..4) {
        let mut dice = Uniform(seed);
        for (p, too_few, too_many) in [(1e-2, 1.6, 1.6), (1e-3, 3.0, 2.2), (1e-4, 8.0, 3.0)] {
            let mut over = 0.0;
            for _ in 0..SERVICES {
                let mut tail = Tail::default();
                (1..=2_000).for_each(|block| tail.watch(block * 600, drawn(kind, &mut dice), false));
                // So many a week is a probability of p for each of its 1,008 ten minutes.
                let level = tail.level(p * 1_008.0).unwrap();
                let blocks = (40.0 / p) as usize / SERVICES;
                over += (0..blocks).filter(|_| drawn(kind, &mut dice) > level).count() as f64;
            }
            // What was learned from two weeks is itself uncertain, the more the rarer: that widens the band.
            let (low, high) = (band(40.0 / too_few).0, band(40.0 * too_many).1);
            prop_assert!((low..=high).contains(&over), "{kind} {p}: {over}, not {low} to {high}");
        }
    }
}
