//! How a request ends that no endpoint answers.

use bytes::Bytes;
use http::Response;
use tokio::net::TcpStream;

use crate::error::Refusal;

/// A request ends here without a response of an endpoint.
#[derive(Debug)]
pub(super) enum Ending {
    /// Refused, for whatever reason.
    Refused(Refusal),
    /// Answered as its route says.
    Answered(Box<Response<Bytes>>),
    /// The client is connected to where it wanted.
    Connected(TcpStream),
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A fault on purpose: the client's stream ends without an answer.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("broken off on purpose")]
pub(crate) struct BrokenOff;
