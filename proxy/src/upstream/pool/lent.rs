//! One connection for one request: what it speaks is nobody's affair but its own.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::time::Instant;

use super::{EndpointPool, Idle};
use crate::upstream::upload::Upload;

/// A connection taken out of the pool, or opened; dropped before it is given back, what is under way on
/// it ends: an HTTP/1.1 connection is closed.
#[derive(Debug)]
pub struct Lent {
    pub(super) sender: http1::SendRequest<Upload>,
    pub(super) pool: Rc<EndpointPool>,
    /// Whether it has served before.
    pub(super) reused: bool,
}

/// No response came.
#[derive(Debug)]
pub struct SendFailure {
    /// How far it came.
    pub stage: Stage,
    /// The request, where it is still whole.
    pub request: Option<Box<Request<Upload>>>,
}

/// How far a request came that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is no connection to the endpoint.
    Connecting,
    /// The endpoint has surely not begun with it.
    Unprocessed,
    /// The endpoint may have done what it was asked.
    Sent,
}

impl Lent {
    /// Sends the request and waits for the response's head.
    ///
    /// # Errors
    /// [`SendFailure`], with the request where nothing of it was sent.
    pub async fn send(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, SendFailure> {
        self.sender.try_send_request(request).await.map_err(|mut failed| {
            let request = failed.take_message().map(Box::new);
            let stage = if request.is_some() { Stage::Unprocessed } else { Stage::Sent };
            SendFailure { stage, request }
        })
    }

    /// Whether it has served before, so that it may have been closed by the endpoint meanwhile.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Gives a connection back whose request and response are both complete; beyond `max_idle` it
    /// is closed instead.
    pub fn give_back(self, max_idle: usize, now: Instant) {
        let mut idle = self.pool.idle.borrow_mut();
        if !self.sender.is_closed() && idle.len() < max_idle {
            idle.push(Idle { sender: self.sender, since: now });
        }
    }
}
