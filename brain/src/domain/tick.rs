use std::collections::BTreeMap;

use protocol::action::{ActionRequest, Receipt, RenewRequest};
use protocol::snapshot::ProxyStatus;
use protocol::telemetry::Window;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Actor, Event, Proposal, ProposedAction};
use crate::canary::judge::Reading;
use crate::canary::{CanarySpec, GateAnswer, GateCall, MetricCall, Order};

/// How far the brain may go on its own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Look and say.
    Observe,
    /// Propose, and wait for a person.
    Advisory,
    /// Act, within the guard.
    Autonomous,
}

/// Everything one turn of the control loop may know. Nothing else reaches it: no clock, no file,
/// no socket.
#[derive(Debug, Default)]
pub struct TickInput {
    /// Now, milliseconds since the epoch; never less than the tick before.
    pub now_ms: i64,
    /// Windows that are complete and in order since the last tick.
    pub windows: Vec<Window>,
    /// The proxies that can be asked to act, with the status they gave last.
    pub fleet: BTreeMap<String, ProxyStatus>,
    /// What became of earlier commands.
    pub replies: Vec<Reply>,
    /// What people and pipelines asked for, each answered in [`TickOutput::answers`] by `id`.
    pub requests: Vec<(u64, Actor, PersonRequest)>,
    /// Whether the audit log can be written: without it, no action.
    pub audit_ok: bool,
}

/// What one turn of the control loop wants done, in this order: events are made durable, then
/// commands are sent, then people are answered.
#[derive(Debug, Default)]
pub struct TickOutput {
    /// What happened.
    pub events: Vec<(Actor, Event)>,
    /// What the proxies are asked.
    pub commands: Vec<Command>,
    /// What people are told.
    pub answers: Vec<(u64, PersonAnswer)>,
    /// Rollouts as they are now: made durable with the events.
    pub canaries: Vec<KeptCanary>,
    /// Gates that rollouts ask.
    pub calls: Vec<GateCall>,
    /// Business metrics that rollouts read.
    pub readings: Vec<MetricCall>,
}

/// A rollout as it is kept for a later life of the brain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCanary {
    /// Which.
    pub id: String,
    /// When it was so.
    pub at_ms: i64,
    /// All of it, as JSON.
    pub state: String,
}

/// One request to one proxy's action API.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which proxy.
    pub proxy: String,
    /// Which action.
    pub action: String,
    /// What is asked.
    pub verb: Verb,
}

/// What is asked of a proxy.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// `PUT /v1/actions/{id}`.
    Put(ActionRequest),
    /// `POST /v1/actions/{id}/renew`.
    Renew(RenewRequest),
    /// `DELETE /v1/actions/{id}?epoch=N`.
    Remove {
        /// The brain's epoch.
        epoch: u64,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The command.
    pub command: Command,
    /// When the answer came.
    pub at_ms: i64,
    /// The answer.
    pub outcome: Outcome,
}

/// A proxy's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Taken, with the receipt.
    Taken(Receipt),
    /// Removed (a 404 counts: it is not there).
    Removed,
    /// Refused or unreachable.
    Refused(Refusal),
}

/// Why a proxy did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// HTTP status; 0 when the proxy could not be reached.
    pub status: u16,
    /// In the proxy's words.
    pub detail: String,
}

/// What a person or a pipeline may ask of the control loop.
#[derive(Debug, Clone, PartialEq)]
pub enum PersonRequest {
    /// Agree to a proposal, naming exactly what was read.
    Approve {
        /// Which.
        proposal: String,
        /// Its digest as read.
        digest: String,
        /// Why.
        reason: String,
    },
    /// Refuse it.
    Reject {
        /// Which.
        proposal: String,
        /// Why.
        reason: String,
    },
    /// Ask for an action; the guard still judges.
    Propose {
        /// What.
        action: ProposedAction,
        /// Why.
        reason: String,
    },
    /// Remove a live action; it is not proposed again for this incident.
    Undo {
        /// Which.
        action: String,
        /// Why.
        reason: String,
    },
    /// Set the upper bound of autonomy, for everything or one kind.
    SetMode {
        /// To this.
        mode: Mode,
        /// For this kind only.
        kind: Option<String>,
    },
    /// Begin a canary.
    StartCanary {
        /// What is asked.
        spec: Box<CanarySpec>,
    },
    /// Tell a canary what to do.
    OrderCanary {
        /// Which.
        canary: String,
        /// What.
        order: Order,
        /// Why.
        reason: String,
        /// Whether who asks may only answer what waits for a person.
        answers_only: bool,
    },
    /// A gate of a canary has spoken; only the brain itself asks so.
    GateAnswered {
        /// Which canary had asked.
        canary: String,
        /// What.
        question: String,
        /// The answer.
        answer: GateAnswer,
    },
    /// A business metric was read for a canary; only the brain itself asks so.
    MetricRead {
        /// Which canary had asked.
        canary: String,
        /// The values.
        reading: Reading,
    },
    /// Stop acting.
    Freeze {
        /// And take back what is live.
        revert_all: bool,
    },
    /// Go on.
    Unfreeze,
    /// Not a person's: what a language model said, or why it said nothing.
    Advise {
        /// The question's digest.
        question: String,
        /// Which model.
        model: String,
        /// Its words, or what went wrong.
        answer: Result<String, String>,
    },
}

/// The control loop's answer to a person.
#[derive(Debug, Clone, PartialEq)]
pub enum PersonAnswer {
    /// Done; what it led to, as JSON.
    Done(serde_json::Value),
    /// There is no such thing.
    NotFound(String),
    /// It is too late, or the digest is another.
    Conflict(String),
    /// What was agreed to would mean something else by now: what, and the proposal in its place.
    Changed {
        /// In one sentence.
        why: String,
        /// Of the state as it is.
        fresh: Box<Proposal>,
    },
    /// It cannot be done, and why.
    Invalid(String),
}
