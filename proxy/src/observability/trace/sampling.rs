//! Which of many to keep: a share, decided by a number that is as good as random.

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio(u64);

impl Ratio {
    /// What is below 0 is 0, above 1 is 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        // `as` saturates, so that 1.0 is all of them.
        Self((share.clamp(0.0, 1.0) * u64::MAX as f64) as u64)
    }

    /// Whether `number` is within the share.
    #[must_use]
    pub fn takes(self, number: u64) -> bool {
        self.0 == u64::MAX || number < self.0
    }

    /// Whether a trace is within the share: the same at every proxy with the same share, by the trace's
    /// last 64 bits, which even those who make half of an id only fill.
    #[must_use]
    pub fn takes_trace(self, trace: u128) -> bool {
        self.takes((trace & u128::from(u64::MAX)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observability::trace::Ids;

    #[test]
    fn the_share_is_kept_and_all_and_nothing_are_exact() {
        let ids = Ids::default();
        let of = |share: f64| (0..20_000).filter(|_| Ratio::new(share).takes_trace(ids.trace())).count();
        assert_eq!((of(0.0), of(1.0)), (0, 20_000));
        let tenth = of(0.1);
        assert!((1_700..2_300).contains(&tenth), "{tenth}");
        assert!(Ratio::new(1.0).takes(u64::MAX) && !Ratio::new(0.0).takes(0));
    }
}
