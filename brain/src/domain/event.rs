use protocol::action::Receipt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Tombstone;
use crate::canary::{CanarySpec, CanaryView};

use super::{Action, Decision, Effect, Incident, Judgement, Mode, Proposal, Refusal};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// What sort of being.
    pub kind: ActorKind,
    /// Which one.
    pub id: String,
}

/// Who can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The control loop itself.
    Brain,
    /// A person, by the name of their token.
    Person,
    /// A program acting for people.
    Pipeline,
    /// A proxy.
    Proxy,
}

/// Everything that happens and is worth proving. Each becomes one audit record, in this order, and
/// one message on the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The brain started, with this epoch.
    BrainStarted {
        /// Above the store's and every proxy's.
        epoch: u64,
        /// The build.
        version: String,
    },
    /// Trouble, and a culprit.
    IncidentOpened {
        /// The incident, whole.
        incident: Incident,
        /// SHA-256 over the windows it was judged from.
        windows_digest: String,
    },
    /// The diagnosis or its confidence changed.
    IncidentUpdated {
        /// The incident, whole.
        incident: Incident,
    },
    /// Over.
    IncidentClosed {
        /// The incident, whole.
        incident: Incident,
        /// Why it is over.
        why: String,
    },
    /// Something should be done.
    Proposal {
        /// The proposal, whole.
        proposal: Proposal,
    },
    /// The guard spoke.
    Verdict {
        /// Of this proposal.
        proposal: Proposal,
        /// Its whole answer.
        judgement: Judgement,
    },
    /// A person answered, or time did.
    Decision {
        /// Of this proposal.
        proposal: Proposal,
        /// The answer.
        decision: Decision,
        /// Who gave it.
        by: Actor,
        /// In their words.
        reason: String,
    },
    /// An action is about to be sent. Durable before it is.
    Intent {
        /// The action, whole.
        action: Action,
        /// To these proxies.
        proxies: Vec<String>,
    },
    /// The action is about to be sent to more proxies. Durable before it is.
    Widened {
        /// The action, whole.
        action: Action,
        /// To these proxies too.
        proxies: Vec<String>,
        /// What it did at the others.
        why: String,
    },
    /// A proxy took it.
    Receipt {
        /// The action's id.
        action: String,
        /// Its service.
        service: String,
        /// Its incident.
        incident: Option<String>,
        /// The proxy.
        proxy: String,
        /// What the proxy answered.
        #[schemars(with = "serde_json::Value")]
        receipt: Receipt,
    },
    /// A proxy refused it, or could not be reached.
    Refusal {
        /// The action's id.
        action: String,
        /// Its service.
        service: String,
        /// Its incident.
        incident: Option<String>,
        /// The proxy.
        proxy: String,
        /// Why.
        refusal: Refusal,
    },
    /// The lease was kept alive; said once a minute at most.
    Renewed {
        /// The action, whole.
        action: Action,
    },
    /// What the action did.
    Effect {
        /// The action, whole.
        action: Action,
        /// The answer.
        effect: Effect,
    },
    /// The action is being removed.
    Undo {
        /// The action, whole.
        action: Action,
        /// Who wants it gone.
        by: Actor,
        /// Why.
        why: String,
    },
    /// Every proxy has let it go.
    ActionEnded {
        /// The action, whole.
        action: Action,
        /// How it ended.
        why: String,
    },
    /// A kind of action has earned to act alone, or lost it.
    Autonomy {
        /// Which.
        kind: String,
        /// What it may do from now on, where mode and policy allow.
        mode: Mode,
        /// Why.
        why: String,
    },
    /// Somebody asked for a canary.
    CanaryStarted {
        /// What was asked.
        spec: Box<CanarySpec>,
        /// The rollout.
        canary: Box<CanaryView>,
    },
    /// It is on another step or in another phase; its share follows.
    CanaryMoved {
        /// The rollout, with the reason and the evidence.
        canary: Box<CanaryView>,
    },
    /// It waits for something, or does no longer.
    CanaryHeld {
        /// The rollout.
        canary: Box<CanaryView>,
    },
    /// A look at the evidence.
    CanaryLooked {
        /// The rollout, with e-values and bounds.
        canary: Box<CanaryView>,
    },
    /// It is over.
    CanaryEnded {
        /// The rollout, with the reason and the evidence.
        canary: Box<CanaryView>,
    },
    /// The upper bound of autonomy changed.
    Mode {
        /// To this.
        mode: Mode,
        /// For one kind of action only.
        kind: Option<String>,
        /// By whom.
        by: Actor,
    },
    /// Nothing may be done until further notice.
    Frozen {
        /// By whom.
        by: Actor,
        /// Whether every live action was removed too.
        revert_all: bool,
    },
    /// A language model was asked about an incident that no rule has an answer to.
    Advised {
        /// Which incident, if it is still open.
        incident: Option<String>,
        /// Which model.
        model: String,
        /// SHA-256 of what it was shown, hex.
        prompt_hash: String,
        /// Its words, bounded; empty when it said nothing.
        answer: String,
        /// Whether it may be heard.
        heard: bool,
        /// Its explanation, or why it is not heard.
        why: String,
    },
    /// The oldest records were removed, as brain.yaml says; what of them still stands was said again before.
    Tombstone {
        /// Which, signed.
        tombstone: Tombstone,
    },
    /// The freeze is over.
    Unfrozen {
        /// By whom.
        by: Actor,
    },
}
