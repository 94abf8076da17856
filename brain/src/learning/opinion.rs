//! What is thought of a proposal by all that is known of the like: what came of it here and, worth a handful of
//! outcomes, what came of it in the simulator.

use super::features::Features;
use super::model::{MIN_OUTCOMES, Model};

/// So many outcomes in the mesh are worth as much as the simulator's word.
pub const SIMULATOR_COUNTS: f64 = 5.0;

/// What a model says of a proposal.
#[derive(Debug, Clone, PartialEq)]
pub enum Opinion {
    /// It helps with this probability.
    Helps {
        /// From 0 to 1.
        probability: f64,
        /// Outcomes in this mesh.
        outcomes: u32,
        /// Outcomes in the simulator, worth [`SIMULATOR_COUNTS`] together.
        simulated: u32,
    },
    /// It does not know, and why.
    Abstains(String),
}

impl Opinion {
    /// Whether this mesh has shown enough to say so.
    #[must_use]
    pub fn is_from_here(&self) -> bool {
        matches!(self, Self::Helps { outcomes, .. } if *outcomes >= MIN_OUTCOMES)
    }
}

/// What both say of a proposal with these numbers: the mean of their words, weighed by what they have seen. Before
/// enough was seen here for a model, the plain share that helped stands for it.
pub(super) fn of(here: Option<&Model>, simulator: Option<&Model>, x: &Features) -> Opinion {
    let outcomes = here.map_or(0, Model::outcomes);
    let shown = simulator.and_then(|model| Some((model.word(x).ok()?, model.outcomes())));
    let own = match here {
        Some(model) if outcomes >= MIN_OUTCOMES => match model.word(x) {
            Ok(probability) => probability,
            Err(why) => return Opinion::Abstains(why),
        },
        _ if shown.is_none() => {
            let like = if simulator.is_some() { ", and the simulator showed nothing like it" } else { "" };
            return Opinion::Abstains(format!("{outcomes} of {MIN_OUTCOMES} outcomes seen{like}"));
        }
        Some(model) => model.share_helped(),
        None => 0.0,
    };
    let (word, simulated) = shown.unwrap_or_default();
    let counts = if simulated > 0 { SIMULATOR_COUNTS } else { 0.0 };
    let weight = f64::from(outcomes);
    let probability = (counts * word + weight * own) / (counts + weight);
    Opinion::Helps { probability, outcomes, simulated }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Features = [1.0, 0.0, -0.5, 0.5, 0.6, 0.2, 0.1];

    fn taught(outcomes: u32, helped: bool) -> Model {
        Model::taught((0..outcomes).map(|_| (USUAL, helped)))
    }

    fn probability(here: u32, helped: bool) -> f64 {
        match of(Some(&taught(here, helped)), Some(&taught(200, true)), &USUAL) {
            Opinion::Helps { probability, .. } => probability,
            Opinion::Abstains(_) => f64::NAN,
        }
    }

    #[test]
    fn before_anything_is_seen_here_the_simulator_is_believed_and_a_handful_of_outcomes_outweighs_it() {
        let none = of(None, Some(&taught(200, true)), &USUAL);
        assert!(
            matches!(none, Opinion::Helps { probability, outcomes: 0, simulated: 200 } if probability > 0.95),
            "{none:?}"
        );
        assert!(!none.is_from_here());
        assert!(probability(4, false) > 0.5 && probability(6, false) < 0.5);
        assert!(probability(30, false) < 0.2, "and many more so");
        let words: Vec<f64> = [0, 1, 5, 19].map(|n| probability(n, true)).to_vec();
        assert!(words.is_sorted(), "what helps does not make it less sure: {words:?}");
    }

    #[test]
    fn it_abstains_where_neither_has_seen_the_like() {
        let mut strange = USUAL;
        strange[5] = 1.0;
        let simulator = taught(200, true);
        let says =
            |here: Option<&Model>, simulator, x| matches!(of(here, simulator, x), Opinion::Helps { .. });
        assert!(!says(None, None, &USUAL));
        assert!(!says(None, Some(&simulator), &strange));
        assert!(!says(Some(&taught(MIN_OUTCOMES - 1, true)), Some(&simulator), &strange));
        assert!(!says(Some(&taught(MIN_OUTCOMES, true)), Some(&simulator), &strange));
        assert!(says(Some(&taught(MIN_OUTCOMES, true)), None, &USUAL));
    }
}
