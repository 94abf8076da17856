//! How sure a diagnosis is: a probability, rising with evidence and with the size of the effect.

/// Never sure.
const MOST: f64 = 0.99;

/// The probability that a cause is named rightly, from the log-evidence against chance and from the
/// share above the reference.
///
/// Half of what is left to doubt goes with each 7 nats, and for effects near the floor, where a
/// drift that no threshold foresaw is likelier than a fault, with each 1.4 percentage points. At an
/// alarm's threshold (about 18) a 30-point excess gives 0.92, a 5-point one 0.88, a 2-point one 0.75.
#[must_use]
pub fn confidence(log_e: f64, excess: f64) -> f64 {
    let chance = 0.5 * (-log_e.max(0.0) / 10.0).exp();
    let drift = 0.5 * (-excess.max(0.0) / 0.02).exp();
    ((1.0 - chance) * (1.0 - drift)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_evidence_and_larger_effects_are_surer_and_never_certain() {
        assert!(confidence(18.0, 0.3) > 0.9);
        assert!(confidence(18.0, 0.02) < confidence(18.0, 0.05));
        assert!(confidence(15.0, 0.1) < confidence(30.0, 0.1));
        assert!(confidence(1e9, 1.0) <= 0.99);
        assert!(confidence(0.0, 0.0) <= 0.25);
    }
}
