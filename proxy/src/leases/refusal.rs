//! Why an action was not taken.

use protocol::action::Problem;
use protocol::id::{ActionId, Epoch, ServiceName};

/// A refusal; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An older brain speaks.
    #[error("epoch {given} is stale: {seen} has been seen")]
    StaleEpoch {
        /// The request's.
        given: Epoch,
        /// The highest seen.
        seen: Epoch,
    },
    /// The id is taken by something else.
    #[error("{0} is the id of another action: use a new id")]
    OtherAction(ActionId),
    /// No such service.
    #[error("no service is called {0}")]
    UnknownService(ServiceName),
    /// No such lease.
    #[error("no active lease has the id {0}")]
    UnknownAction(ActionId),
    /// Impossible in itself.
    #[error("{0}")]
    Invalid(String),
    /// Possible, but below the floor together with what is live.
    #[error("{0}")]
    Floor(String),
    /// An operator has frozen the proxy.
    #[error("the proxy is frozen: no action is taken until POST /unfreeze")]
    Frozen,
    /// A new process is about to take over, or has.
    #[error("this process hands over to a new one: ask again in a moment")]
    HandedOver,
    /// The state file cannot be written.
    #[error("{0}")]
    Storage(String),
}

impl Refusal {
    /// The refusal as the API says it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (status, title) = match self {
            Self::StaleEpoch { .. } => (409, "stale epoch"),
            Self::OtherAction(_) => (409, "id in use"),
            Self::UnknownService(_) => (404, "unknown service"),
            Self::UnknownAction(_) => (404, "unknown action"),
            Self::Invalid(_) => (422, "invalid action"),
            Self::Floor(_) => (422, "below the floor"),
            Self::Frozen => (423, "frozen"),
            Self::HandedOver => (503, "handing over"),
            Self::Storage(_) => (503, "state file"),
        };
        Problem { status, title: title.to_owned(), detail: self.to_string() }
    }
}
