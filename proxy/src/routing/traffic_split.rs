//! A route's split over services and versions, by weight.

use std::cell::RefCell;

use crate::upstream::balancer::SmoothRoundRobin;

/// One worker's state of one split. Shares are exact over every cycle; a weight of 0 is never chosen.
#[derive(Debug)]
pub struct TrafficSplit {
    weights: Vec<u32>,
    turn: RefCell<SmoothRoundRobin>,
}

impl TrafficSplit {
    /// Over targets with these weights.
    #[must_use]
    pub fn new(weights: Vec<u32>) -> Self {
        let turn = RefCell::new(SmoothRoundRobin::new(weights.len()));
        Self { weights, turn }
    }

    /// The next target; `None` when nothing is to be served.
    pub fn pick(&self) -> Option<usize> {
        match self.weights.as_slice() {
            [weight] => (*weight > 0).then_some(0),
            weights => self.turn.borrow_mut().pick(weights),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_zero_means_none() {
        let split = TrafficSplit::new(vec![95, 0, 5]);
        let picks: Vec<_> = (0..100).filter_map(|_| split.pick()).collect();
        let share = |target| picks.iter().filter(|pick| **pick == target).count();
        assert_eq!((share(0), share(1), share(2)), (95, 0, 5));
        assert_eq!(TrafficSplit::new(vec![0, 0]).pick(), None);
        assert_eq!(TrafficSplit::new(vec![0]).pick(), None);
    }
}
