//! Idle HTTP/1.1 connections to one endpoint, of one worker: bounded, last in first out.
//!
//! Absent on purpose: waiting for a connection. A request finds an idle one or opens its own; the
//! number at once is bounded by the requests at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::upload::Upload;
use crate::settings::Endpoint;
use crate::telemetry::shard::BackendCounters;

/// Idle connections are closed after so long, before most servers close them themselves.
pub const MAX_IDLE_TIME: Duration = Duration::from_secs(30);
/// The largest response head that is read.
const MAX_RESPONSE_HEAD_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct EndpointPool {
    endpoint: Arc<Endpoint>,
    counters: Arc<BackendCounters>,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

/// A connection taken out of the pool, or opened; dropped, it is closed.
#[derive(Debug)]
pub struct Lent {
    /// To send the request with.
    pub sender: SendRequest<Upload>,
    pool: Rc<EndpointPool>,
}

impl EndpointPool {
    /// An empty pool.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, counters: Arc<BackendCounters>) -> Rc<Self> {
        Rc::new(Self { endpoint, counters, idle: RefCell::default() })
    }

    /// The idle connection used last, if one still lives.
    pub fn take(self: &Rc<Self>) -> Option<Lent> {
        let mut idle = self.idle.borrow_mut();
        // One that was given back a moment ago may not have settled yet: it is left for later.
        let at = idle.iter().rposition(|idle| idle.sender.is_ready())?;
        let sender = idle.remove(at).sender;
        Some(Lent { sender, pool: Rc::clone(self) })
    }

    /// A new connection. Must run on a local task set, where the connection's own task is left.
    ///
    /// # Errors
    /// The endpoint's name does not resolve, or it does not accept.
    pub async fn connect(self: &Rc<Self>) -> std::io::Result<Lent> {
        let host = self.endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.endpoint.port)).await?;
        stream.set_nodelay(true)?;
        let handshake = http1::Builder::new()
            .max_buf_size(MAX_RESPONSE_HEAD_BYTES)
            .handshake::<_, Upload>(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(std::io::Error::other)?;
        let open = self.counters.connection();
        tokio::task::spawn_local(async move {
            // Its end is seen by whoever sends on it; here it is only driven.
            let _ended = connection.await;
            drop(open);
        });
        Ok(Lent { sender, pool: Rc::clone(self) })
    }

    /// Closes what has been idle for longer than [`MAX_IDLE_TIME`] or was closed from afar.
    pub fn evict(&self, now: Instant) {
        let fresh = |idle: &Idle| {
            !idle.sender.is_closed() && now.saturating_duration_since(idle.since) < MAX_IDLE_TIME
        };
        self.idle.borrow_mut().retain(fresh);
    }

    /// How many are idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }
}

impl Lent {
    /// Gives a connection back whose request and response are both complete; beyond `max_idle` it
    /// is closed instead.
    pub fn give_back(self, max_idle: usize, now: Instant) {
        let mut idle = self.pool.idle.borrow_mut();
        if !self.sender.is_closed() && idle.len() < max_idle {
            idle.push(Idle { sender: self.sender, since: now });
        }
    }
}
