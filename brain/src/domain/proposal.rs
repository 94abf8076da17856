use protocol::action::ActionKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An action somebody thinks should be taken, and everything needed to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// `prop-1`, `prop-2`, …
    pub id: String,
    /// SHA-256 over what is proposed and on what evidence: who approves, approves exactly this.
    pub digest: String,
    /// Where it stands.
    pub state: ProposalState,
    /// The incident it answers; absent when a person proposed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Probability that the action helps.
    pub confidence: f64,
    /// When it was made.
    pub created_ms: i64,
    /// After this nobody can approve it.
    pub expires_ms: i64,
    /// The same, RFC 3339.
    pub expires_at: String,
    /// What would be done.
    pub action: ProposedAction,
    /// The numbers it rests on.
    pub evidence: Vec<super::Evidence>,
    /// What should be seen if it helps, one sentence.
    pub predicted_effect: String,
    /// How much it touches.
    pub radius: Radius,
    /// SHA-256 over the state of the service that it was made from; in another nobody can approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footing: Option<String>,
    /// Who spoke, in order, with what confidence. The last one's words decided; before it stand those who
    /// abstained, the record, and the learned model, which agrees, disagrees or abstains.
    pub speakers: Vec<Speaker>,
    /// The person who asks for it; absent: the brain does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// How many people must agree where one is asked.
    #[serde(default = "one")]
    pub approvals_needed: usize,
    /// Who has agreed so far; whoever asks for it agrees to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
}

fn one() -> usize {
    1
}

impl Proposal {
    /// Whether a person asks for it, not the brain and not a pipeline.
    #[must_use]
    pub fn is_by_person(&self) -> bool {
        self.asked_by.is_some()
    }

    /// Whether nobody but a learned model speaks for it.
    #[must_use]
    pub fn is_by_model(&self) -> bool {
        self.speakers.last().is_some_and(|s| s.name == crate::decision::MODEL)
    }

    /// Whether nobody but a language model speaks for it.
    #[must_use]
    pub fn is_by_advisor(&self) -> bool {
        let speaker = self.speakers.last();
        speaker.is_some_and(|s| s.name.starts_with(crate::decision::advisor::SPEAKER))
    }
}

/// A typed action and the service it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedAction {
    /// The service.
    pub service: String,
    /// The change.
    pub kind: ActionKind,
    /// How long each lease would live.
    pub lease_ms: u64,
}

/// How much of the service an action touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Radius {
    /// Share of the service's capacity (configured weight) taken away, 0 to 1.
    pub capacity: f64,
    /// Share of its requests that are moved or refused, 0 to 1.
    pub requests: f64,
    /// How many proxies are asked.
    pub proxies: usize,
}

/// A voice in the decision: `rule:eject-bad-endpoint`, `model`, `advisor:NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speaker {
    /// Who.
    pub name: String,
    /// With what confidence that the action helps.
    pub confidence: f64,
    /// In their words.
    pub says: String,
}

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Waits for a person.
    Pending,
    /// A person agreed; not yet carried out.
    Approved,
    /// A person, or the guard, refused.
    Rejected,
    /// Nobody answered in time, or what it answered is over.
    Expired,
    /// Carried out.
    Executed,
}

/// What the guard says of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// May be done now.
    Allow,
    /// A person must agree first.
    Ask,
    /// May not be done.
    Deny,
}

/// The guard's whole answer: the verdict is the strictest of the checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The outcome.
    pub verdict: Verdict,
    /// The deciding check's reason.
    pub why: String,
    /// Every check, in order, with its own answer.
    pub checks: Vec<Check>,
    /// What they looked at; absent in records of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<crate::guard::Facts>>,
}

/// One rule of the guard and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// `mode`, `confidence`, `blast_radius`, `cooldown`, …
    pub name: String,
    /// Its own answer.
    pub verdict: Verdict,
    /// With the numbers.
    pub why: String,
}

/// What became of a proposal that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A person said yes.
    Approved,
    /// A person said yes; another must too.
    Agreed,
    /// A person said no.
    Rejected,
    /// Time ran out, or the incident ended.
    Expired,
}
