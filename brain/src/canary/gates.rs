//! Gates: other programs that are asked before a rollout goes on, and told when it is over.
//!
//! The rollout only says what should be asked ([`GateCall`]) and hears what came of it; asking is I/O and
//! not done here. 2xx opens a gate; 410 ends the canary; any other answer keeps it closed, and it is
//! asked again. What cannot be reached holds the rollout, or ends it, as the gate says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, Hold, HoldKind};

/// The most gates of one canary.
pub const MAX_GATES: usize = 16;
/// Before a gate that is closed is asked again, milliseconds.
const AGAIN_MS: i64 = 5_000;
/// An answer that is so much later than the timeout is lost, milliseconds.
const LOST_MS: i64 = 10_000;

/// A program that has a say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// When it is asked.
    pub at: GateMoment,
    /// Where: `https://HOST/PATH` or `http://HOST:PORT/PATH`. It is sent the rollout as JSON.
    pub url: String,
    /// What an answer of 500 and above, or none, means.
    #[serde(default)]
    pub when_unreachable: WhenUnreachable,
    /// How long it may take, milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn timeout_ms() -> u64 {
    5_000
}

/// When a gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateMoment {
    /// Before the first request.
    ConfirmStart,
    /// Before each further step.
    BeforeStep,
    /// Before the promotion.
    ConfirmPromotion,
    /// Told when it is over; the answer changes nothing.
    After,
}

/// What silence means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnreachable {
    /// Wait, and ask again.
    #[default]
    Hold,
    /// The canary ends.
    Fail,
}

/// Something to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct GateCall {
    /// Which rollout asks.
    pub canary: String,
    /// Which question of it: the gate's number and the occasion.
    pub question: String,
    /// Where.
    pub url: String,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
    /// What is sent.
    pub body: serde_json::Value,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateAnswer {
    /// Go on.
    Open,
    /// Not now.
    Closed(String),
    /// Never.
    Forbidden(String),
    /// No answer that means anything.
    Unreachable(String),
}

/// Where a question stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum GateState {
    /// Asked then.
    Asked(i64),
    /// It may go on.
    Open,
    /// Why not, and when it is asked again.
    Closed(String, i64),
    /// Why the canary must end.
    Ends(String),
}

/// What all gates of an occasion say together.
pub(super) enum Passage {
    Free,
    Waits(Hold),
    Ends(String),
}

/// Whether `url` is one that may be asked.
pub(super) fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.len() < 2_000)
        && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}

impl Gate {
    /// What cannot be meant.
    pub(super) fn mistake(&self) -> Option<String> {
        if !is_url(&self.url) {
            return Some(format!("{:?} is neither http://HOST:PORT/PATH nor https://HOST/PATH", self.url));
        }
        (!(100..=60_000).contains(&self.timeout_ms))
            .then(|| "timeout_ms is not between 100 and 60000".to_owned())
    }
}

impl Canary {
    /// Asks the gates of an occasion what has not been asked, and says what they say.
    pub(super) fn passage(&mut self, at: GateMoment, occasion: &str) -> Passage {
        let mut waits = None;
        for (number, gate) in self.spec.gates.clone().iter().enumerate().filter(|(_, gate)| gate.at == at) {
            let question = format!("{number}@{occasion}");
            let lost_ms = i64::try_from(gate.timeout_ms).unwrap_or(i64::MAX).saturating_add(LOST_MS);
            let why = match self.gates.get(&question) {
                Some(GateState::Open) => continue,
                Some(GateState::Ends(why)) => return Passage::Ends(format!("{}: {why}", gate.url)),
                Some(GateState::Asked(ms)) if self.turned_ms < ms.saturating_add(lost_ms) => {
                    "is asked".to_owned()
                }
                Some(GateState::Closed(why, again_ms)) if self.turned_ms < *again_ms => why.clone(),
                Some(GateState::Closed(why, _)) => {
                    let why = why.clone();
                    self.ask(gate, question, occasion);
                    why
                }
                _ => {
                    self.ask(gate, question, occasion);
                    "is asked".to_owned()
                }
            };
            waits.get_or_insert(Hold { kind: HoldKind::Gate, why: format!("{} {why}", gate.url) });
        }
        waits.map_or(Passage::Free, Passage::Waits)
    }

    fn ask(&mut self, gate: &Gate, question: String, occasion: &str) {
        self.gates.insert(question.clone(), GateState::Asked(self.turned_ms));
        let body = serde_json::json!({ "moment": gate.at, "occasion": occasion, "canary": self.view() });
        let (canary, url) = (self.id.clone(), gate.url.clone());
        self.calls.push(GateCall { canary, question, url, timeout_ms: gate.timeout_ms, body });
    }

    /// Hears what came of a question.
    pub fn heard(&mut self, question: &str, answer: GateAnswer) {
        let number = question.split('@').next().and_then(|n| n.parse::<usize>().ok());
        let Some(gate) = number.and_then(|n| self.spec.gates.get(n)) else { return };
        let again_ms = self.turned_ms + AGAIN_MS;
        let state = match answer {
            GateAnswer::Open => GateState::Open,
            GateAnswer::Closed(why) => GateState::Closed(format!("is closed ({why})"), again_ms),
            GateAnswer::Forbidden(why) => GateState::Ends(why),
            GateAnswer::Unreachable(why) if gate.when_unreachable == WhenUnreachable::Fail => {
                GateState::Ends(why)
            }
            GateAnswer::Unreachable(why) => GateState::Closed(format!("cannot be reached ({why})"), again_ms),
        };
        if let Some(known) = self.gates.get_mut(question) {
            *known = state;
        }
    }

    /// Tells whoever wants to know that it is over.
    pub(super) fn tell_the_end(&mut self) {
        let phase = self.phase.name().to_owned();
        let _ = self.passage(GateMoment::After, &phase);
    }
}
