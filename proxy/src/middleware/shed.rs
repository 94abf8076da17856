//! Load that is refused before an endpoint is chosen, because a lease says so.

use std::cell::Cell;

use crate::live_state::Shed;

/// One worker's share of a service's shedding. A fraction is kept exactly, by carrying the rest
/// from request to request, not by chance.
#[derive(Debug, Default)]
pub struct Shedder {
    owed: Cell<f64>,
}

impl Shedder {
    /// Whether this request is refused. `in_flight` is asked only where a lease bounds it.
    pub fn refuses(&self, shed: &Shed, in_flight: impl FnOnce() -> u32) -> bool {
        if shed.max_in_flight.is_some_and(|most| in_flight() >= most) {
            return true;
        }
        if shed.fraction <= 0.0 {
            return false;
        }
        let owed = self.owed.get() + shed.fraction;
        let refuses = owed >= 1.0;
        self.owed.set(if refuses { owed - 1.0 } else { owed });
        refuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_refused_exactly_and_spread_out() {
        let shedder = Shedder::default();
        let shed = Shed { fraction: 0.25, max_in_flight: None };
        let refused: Vec<bool> = (0..100).map(|_| shedder.refuses(&shed, || 0)).collect();
        assert_eq!(refused.iter().filter(|r| **r).count(), 25);
        assert!(refused.chunks(4).all(|four| four.iter().filter(|r| **r).count() == 1));
    }

    #[test]
    fn what_would_exceed_the_bound_in_flight_is_refused() {
        let shed = Shed { fraction: 0.0, max_in_flight: Some(10) };
        assert!(!Shedder::default().refuses(&shed, || 9));
        assert!(Shedder::default().refuses(&shed, || 10));
        assert!(!Shedder::default().refuses(&Shed::default(), || u32::MAX));
    }
}
