//! Where a rollout stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The life of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked for; no traffic yet.
    Pending,
    /// On a step: it bakes and is judged.
    Step,
    /// Held as it is, by a person or because of an incident.
    Paused,
    /// The proxies are asked to make it the stable version.
    Promoting,
    /// It is the stable version.
    Promoted,
    /// It is taken out.
    RollingBack,
    /// It is out, for a reason.
    RolledBack,
    /// It is out, and nobody can say whether it is worse.
    Undecided,
    /// It was a trial without promotion, and it is over.
    Finished,
}

impl Phase {
    /// Whether nothing more is decided by itself.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack | Self::Undecided | Self::Finished)
    }

    /// As it stands in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Step => "step",
            Self::Paused => "paused",
            Self::Promoting => "promoting",
            Self::Promoted => "promoted",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Undecided => "undecided",
            Self::Finished => "finished",
        }
    }
}

/// What it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// In one word.
    pub kind: HoldKind,
    /// For people, with the numbers.
    pub why: String,
}

/// What a rollout can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A person has stopped the brain.
    Frozen,
    /// Proxies that have not answered, or refuse.
    Proxies,
    /// Windows that do not come.
    Telemetry,
    /// Requests that do not come.
    Traffic,
    /// The least time on a step.
    Bake,
    /// Evidence enough for the next step.
    Evidence,
    /// More endpoints: those it has cannot bear the next step.
    Capacity,
    /// A gate that is asked, closed or silent.
    Gate,
    /// A person's yes.
    Approval,
}

impl HoldKind {
    /// Whether the time spent so is time in which the canary could be judged.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Traffic | Self::Bake | Self::Evidence | Self::Capacity)
    }

    /// Whether it is worth a record of its own; the others belong to every step.
    #[must_use]
    pub fn is_news(self) -> bool {
        !matches!(self, Self::Bake | Self::Evidence)
    }
}

/// Why it is paused, and what it goes back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// The phase before.
    pub from: Phase,
    /// The incident that paused it; absent: a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// What a turn changed, each worth a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another phase or another step.
    Moved,
    /// It waits for something else than before.
    Held,
    /// The evidence so far.
    Looked,
}
