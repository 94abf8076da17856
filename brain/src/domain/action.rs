use std::collections::BTreeMap;

use protocol::action::Receipt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProposedAction;

/// Something we do to the mesh: one lease on each proxy that serves the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Its id, the same on every proxy.
    pub id: String,
    /// The proposal that asked for it; a probe has its predecessor's.
    pub proposal: String,
    /// The incident it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What is done.
    pub action: ProposedAction,
    /// Where it stands.
    pub phase: ActionPhase,
    /// Why, for people and for the proxies' own lists.
    pub reason: String,
    /// Probability that it helps.
    pub confidence: f64,
    /// Who stands behind it: `brain`, or the person that approved.
    pub issued_by: String,
    /// When it was first sent.
    pub started_ms: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// The proxies that hold it, with their latest receipt.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub receipts: BTreeMap<String, Receipt>,
    /// Renewals so far.
    pub renewals: u64,
    /// What it did, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// The life of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionPhase {
    /// Sent, not answered by all.
    Applying,
    /// Held by the proxies; its effect is being measured.
    Verifying,
    /// It helped; the lease is renewed until the cause is gone.
    Holding,
    /// A small share of traffic goes back to see whether the cause is gone.
    Probing,
    /// Removed, by us or a person.
    Ended,
    /// No proxy took it, or all lost it.
    Failed,
}

/// What an action did to what users see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// In one word.
    pub kind: EffectKind,
    /// Failure (or slow) share before, over the seconds since the onset.
    pub before: f64,
    /// And after the action had settled.
    pub after: f64,
    /// Requests measured after.
    pub requests: u64,
    /// By how much the share fell, as an interval that holds the truth in 95 of 100 cases; absent where
    /// nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// One sentence.
    pub why: String,
}

/// The answer of the verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Renew.
    Helped,
    /// Undo.
    Unchanged,
    /// Undo at once.
    Harmed,
    /// Not enough was seen to say: a recording, or no traffic.
    Unknown,
}
