//! What each endpoint of a group is worth right now: weights with weather, zone and slow start in them.
//!
//! Worked out when the weather has changed or a moment has come at which time alone changes something,
//! not for every request. An endpoint is out when its weight is 0, when a lease or an outlier's ejection
//! takes it out, when its breaker is open, or when active checks call it unhealthy. Health and ejections
//! are not believed while fewer endpoints pass than the panic threshold says: then it is more likely that
//! the checks are wrong, or that the rest would be overrun, than that most endpoints are down (Envoy's
//! panic threshold). Decisions of leases and breakers hold in a panic too.

use smallvec::SmallVec;

use super::zone::{Capacity, local_share};

/// Where the weights are not as configured, the heaviest is so much.
const FINE: f64 = (1u32 << 20) as f64;

/// One endpoint, as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Decided by file and leases; 0: not asked.
    pub weight: u32,
    /// Whether it takes no new clients but keeps those it has.
    pub drains: bool,
    /// Neither failed by active checks nor ejected as an outlier.
    pub healthy: bool,
    /// Whether its breaker lets anything through.
    pub admits: bool,
    /// Whether it is of the proxy's zone; everyone is where no zone is preferred.
    pub local: bool,
    /// What a slow start leaves of its weight, 0.1 to 1.
    pub risen: f64,
}

/// Weights, in the order of the members.
pub type Weights = SmallVec<[u32; 16]>;

/// What the members are worth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// 0: not now.
    pub weights: Weights,
    /// Who may be asked for a session that is with it already, whatever its weight and zone.
    pub may_stay: SmallVec<[bool; 16]>,
    /// Whether the weights are in units of their own instead of the configured ones.
    pub fine: bool,
    /// Whether health is not believed.
    pub panics: bool,
}

/// See the module.
#[must_use]
pub fn stand(readings: &[Reading], panic_percent: u32) -> Standing {
    let wanted = || readings.iter().filter(|reading| reading.weight > 0);
    let passing = wanted().filter(|reading| reading.healthy).count() as u64;
    let panics = passing * 100 < u64::from(panic_percent) * wanted().count() as u64;
    let may_stay = |r: &Reading| (r.weight > 0 || r.drains) && r.admits && (panics || r.healthy);
    let usable = |r: &Reading| r.weight > 0 && may_stay(r);
    let own = local(readings, usable);
    let factor = |r: &Reading| r.risen * if r.local { own.0 } else { own.1 };
    let whole = |factor: f64| factor <= 0.0 || factor >= 1.0;
    let fine = readings.iter().filter(|r| usable(r)).any(|r| !whole(factor(r)));
    let heaviest = wanted().map(|reading| reading.weight).max().unwrap_or(1);
    let unit = if fine { FINE / f64::from(heaviest) } else { 1.0 };
    let weight = |reading: &Reading| match factor(reading) {
        factor if !usable(reading) || factor <= 0.0 => 0,
        _ if !fine => reading.weight,
        factor => ((f64::from(reading.weight) * factor * unit).round() as u32).max(1),
    };
    let may_stay = readings.iter().map(may_stay).collect();
    Standing { weights: readings.iter().map(weight).collect(), may_stay, fine, panics }
}

/// What weights of the own zone, and of all others, are to be multiplied with: the zone's share over its
/// part of the weights, so scaled that the larger is 1.
fn local(readings: &[Reading], usable: impl Fn(&Reading) -> bool) -> (f64, f64) {
    if readings.iter().all(|reading| reading.local) {
        return (1.0, 1.0);
    }
    let capacity = |local: bool| {
        let part = || readings.iter().filter(move |reading| reading.local == local);
        let sum = |readings: &mut dyn Iterator<Item = &Reading>| readings.map(|r| f64::from(r.weight)).sum();
        Capacity { configured: sum(&mut part()), available: sum(&mut part().filter(|r| usable(r))) }
    };
    let (own, others) = (capacity(true), capacity(false));
    let share = local_share(own, others);
    let per_weight = |share: f64, of: Capacity| if of.available > 0.0 { share / of.available } else { 0.0 };
    let (own, others) = (per_weight(share, own), per_weight(1.0 - share, others));
    let most = own.max(others);
    // Nothing is usable anywhere: nobody is preferred.
    if most <= 0.0 { (1.0, 1.0) } else { (own / most, others / most) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UP: Reading =
        Reading { weight: 100, drains: false, healthy: true, admits: true, local: true, risen: 1.0 };
    const DOWN: Reading = Reading { healthy: false, ..UP };
    const FAR: Reading = Reading { local: false, ..UP };

    fn weights(readings: &[Reading]) -> Vec<u32> {
        stand(readings, 50).weights.to_vec()
    }

    #[test]
    fn health_is_believed_down_to_the_panic_threshold() {
        assert_eq!(weights(&[UP, DOWN]), [100, 0]);
        assert_eq!(weights(&[UP, DOWN, DOWN]), [100, 100, 100]);
        assert_eq!(stand(&[UP, DOWN, DOWN], 0).weights.to_vec(), [100, 0, 0]);
        assert_eq!(stand(&[UP, UP, DOWN], 100).weights.to_vec(), [100, 100, 100]);
        let held = Reading { admits: false, ..DOWN };
        assert_eq!(weights(&[UP, held, DOWN]), [100, 0, 100]);
    }

    #[test]
    fn a_rising_endpoint_gets_its_part() {
        let rising = Reading { risen: 0.25, ..UP };
        let seen = weights(&[UP, rising]);
        assert_eq!(seen[0], 4 * seen[1]);
    }

    #[test]
    fn others_are_asked_for_what_the_own_zone_cannot_carry() {
        assert_eq!(weights(&[UP, UP, FAR]), [100, 100, 0]);
        assert_eq!(stand(&[DOWN, DOWN, FAR], 0).weights.to_vec(), [0, 0, 100]);
        // One of two: 70 % stay.
        let seen = stand(&[UP, DOWN, FAR, FAR], 50).weights;
        let share = f64::from(seen[0]) / seen.iter().map(|w| f64::from(*w)).sum::<f64>();
        assert!((share - 0.7).abs() < 1e-4, "{share}");
        assert_eq!(seen[2], seen[3]);
    }

    #[test]
    fn sessions_stay_where_no_new_ones_begin_unless_it_is_out() {
        let draining = Reading { weight: 0, drains: true, ..UP };
        let cured = Reading { weight: 0, ..UP };
        let seen = stand(&[UP, draining, cured, Reading { healthy: false, ..draining }, FAR], 50);
        assert_eq!(seen.weights.to_vec(), [100, 0, 0, 0, 0]);
        assert_eq!(seen.may_stay.to_vec(), [true, true, false, false, true]);
    }

    fn reading() -> impl Strategy<Value = Reading> {
        (0u32..200, any::<bool>(), any::<bool>(), any::<bool>(), 0.1f64..=1.0).prop_map(
            |(weight, healthy, admits, local, risen)| Reading { weight, healthy, admits, local, risen, ..UP },
        )
    }

    proptest! {
        #[test]
        fn nobody_is_asked_who_is_out_and_somebody_is_while_anybody_may(
            readings in prop::collection::vec(reading(), 1..12), percent in 0u32..=100
        ) {
            let standing = stand(&readings, percent);
            for (reading, weight) in readings.iter().zip(&standing.weights) {
                let out = reading.weight == 0 || !reading.admits || !(reading.healthy || standing.panics);
                prop_assert!(!out || *weight == 0);
            }
            let may = |r: &Reading| r.weight > 0 && r.admits && (r.healthy || standing.panics);
            prop_assert_eq!(readings.iter().any(may), standing.weights.iter().any(|w| *w > 0));
        }
    }
}
