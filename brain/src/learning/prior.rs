//! What the simulator has shown before the first real action: said, came true, and of how many trials. One
//! endpoint of five failing 5 % to 100 % at 60 and 200 requests a second, seeds 1,000 to 1,199, by
//! which no test judges (`confidence_is_a_probability` takes others). Worth [`MOST_TRIALS`] a bin at most: what happens
//! in the mesh soon says more.

use super::calibration::{Curve, Sums};

/// What a bin of the simulator's is worth.
const MOST_TRIALS: u32 = 40;
/// Kind of action, confidence said on average, share that came true, trials.
const SHOWN: [(&str, f64, f64, u32); 2] =
    [("eject_endpoint", 0.880, 0.92, 75), ("eject_endpoint", 0.918, 1.0, 124)];

/// The simulator's curve for a kind; empty where it showed nothing.
pub(super) fn prior(kind: &str) -> Curve {
    let mut curve = Curve::default();
    for (_, said, came_true, trials) in SHOWN.iter().filter(|(of, ..)| *of == kind) {
        let n = (*trials).min(MOST_TRIALS);
        curve.put(Sums { said: said * f64::from(n), came_true: came_true * f64::from(n), n });
    }
    curve
}
