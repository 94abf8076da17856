//! The learned model's voice: after the rules it says of what they want how often the like has helped, here and in
//! the simulator, and where they want nothing it may name what has helped here. It only ever makes the brain less
//! sure, or asks a person.

use crate::domain::{Proposal, Speaker};
use crate::learning::{Opinion, SIMULATOR_COUNTS};

/// The name of the speaker.
pub const SPEAKER: &str = "model";
/// Below this probability it names nothing by itself.
pub const WORTH_NAMING: f64 = 0.6;
/// So much less sure than the rule is another opinion.
const DISAGREES_BY: f64 = 0.1;

/// The proposal with what the model says of it: whoever is less sure is believed.
#[must_use]
pub fn with_opinion(mut proposal: Proposal, opinion: &Opinion) -> Proposal {
    let Some(decided) = proposal.speakers.pop() else { return proposal };
    proposal.speakers.retain(|speaker| speaker.name != SPEAKER);
    if decided.name != SPEAKER {
        proposal.speakers.push(spoken(opinion, proposal.confidence));
    }
    if let Opinion::Helps { probability, .. } = opinion {
        proposal.confidence = proposal.confidence.min(*probability);
    }
    proposal.speakers.push(decided);
    proposal
}

fn spoken(opinion: &Opinion, sure: f64) -> Speaker {
    let (confidence, says) = match opinion {
        Opinion::Abstains(why) => (0.0, format!("abstains: {why}")),
        Opinion::Helps { probability, outcomes, simulated } => {
            let word = if *probability < sure - DISAGREES_BY { "disagrees" } else { "agrees" };
            let before = match simulated {
                0 => String::new(),
                n => format!(" and {n} simulated ones, worth {SIMULATOR_COUNTS}"),
            };
            let share = probability * 100.0;
            (*probability, format!("{word}: it helps with {share:.0} %, by {outcomes} outcomes{before}"))
        }
    };
    Speaker { name: SPEAKER.to_owned(), confidence, says }
}
