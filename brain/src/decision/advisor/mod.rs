//! A language model's room in the decision: a question built by code from typed fields, a menu of typed
//! actions, and a judge of whatever comes back. Only where every rule abstains, and only to ask a person.
//!
//! Absent: any client, and any text of the mesh that is not a bounded name. What the model says can choose from
//! the menu, order it and explain; it cannot name a target, a parameter or a number that is not in the evidence.

mod answer;
mod menu;
mod question;

pub use answer::{Counsel, MAX_ANSWER_BYTES, judged};
pub use menu::{Candidate, menu};
pub use question::{Question, RULES, schema};

/// What a speaker's name begins with that is a language model.
pub const SPEAKER: &str = "advisor:";
