//! Connections to one endpoint, of one worker. HTTP/1.1: idle ones, bounded, last in first out. HTTP/2: a
//! few that requests share, the least loaded first.
//!
//! Absent on purpose: waiting for an HTTP/1.1 connection. A request finds an idle one or opens its own; the
//! number at once is bounded by the requests at once.

mod download;
mod form;
mod http2;
mod lent;
mod send;
mod streams;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Result};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connector::{Connector, Speaks};
use super::http1::Line;
use super::seats::Seats;
use crate::settings::{Endpoint, Protocol, Transport};
use crate::telemetry::shard::BackendCounters;

pub use download::{Download, DownloadError};
use lent::Link;
pub use lent::{Lent, SendFailure, Stage};
use streams::Streams;

/// Idle connections are closed after so long, before most servers close them themselves.
pub const MAX_IDLE_TIME: Duration = Duration::from_secs(30);
/// Between two log lines about connections that cannot be made.
const QUIET: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct EndpointPool {
    connector: Connector,
    counters: Arc<BackendCounters>,
    seats: Arc<Seats>,
    idle: RefCell<Vec<Idle>>,
    streams: Streams,
    /// What the endpoint chose last, where it may choose.
    chosen: Cell<Option<Speaks>>,
    /// Held by who opens an HTTP/2 connection: others wait for it instead of opening their own.
    opening: Mutex<()>,
    complained: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

impl EndpointPool {
    /// An empty pool.
    #[must_use]
    pub fn new(
        endpoint: Arc<Endpoint>,
        transport: Arc<Transport>,
        counters: Arc<BackendCounters>,
        seats: Arc<Seats>,
    ) -> Rc<Self> {
        let streams = Streams::new(transport.http2);
        let (idle, chosen, opening, complained) = Default::default();
        let connector = Connector { endpoint, transport };
        Rc::new(Self { connector, counters, seats, idle, streams, chosen, opening, complained })
    }

    /// Whether its connections are as `transport` wants them.
    #[must_use]
    pub fn speaks(&self, transport: &Transport) -> bool {
        *self.connector.transport == *transport
    }

    /// A place on a connection that there is: the idle one used last, or the least loaded of those that are
    /// shared.
    pub fn take(self: &Rc<Self>) -> Option<Lent> {
        self.take_idle().or_else(|| self.take_stream(0))
    }

    fn take_idle(self: &Rc<Self>) -> Option<Lent> {
        let mut idle = self.idle.borrow_mut();
        // What was closed from afar, or has said something unasked, is left out.
        let line = std::iter::from_fn(|| idle.pop()).map(|idle| idle.line).find(Line::is_quiet)?;
        Some(Lent { link: Link::Http1(line), pool: Rc::clone(self), reused: true })
    }

    /// On a connection opened after the one with this number.
    fn take_stream(self: &Rc<Self>, after: u64) -> Option<Lent> {
        let place = self.streams.take(after)?;
        Some(Lent { link: Link::Http2(place), pool: Rc::clone(self), reused: true })
    }

    /// A place on a connection opened after the one with the number `after`; usually opens it. Must run on a
    /// local task set, where the connection's own task is left.
    ///
    /// # Errors
    /// The endpoint's name does not resolve, it does not accept, or TLS or HTTP/2 cannot be agreed on.
    pub async fn connect(self: &Rc<Self>, after: u64) -> Result<Lent> {
        let alone = match self.connector.transport.protocol {
            Protocol::Http1 => true,
            Protocol::Http2 => false,
            Protocol::Auto => {
                self.connector.transport.tls.is_none() || self.chosen.get() == Some(Speaks::Http1)
            }
        };
        if alone {
            return self.open().await;
        }
        let _turn = self.opening.lock().await;
        match self.take_stream(after) {
            Some(opened_meanwhile) => Ok(opened_meanwhile),
            None => self.open().await,
        }
    }

    async fn open(self: &Rc<Self>) -> Result<Lent> {
        let seat = self.seats.take().ok_or(ErrorKind::QuotaExceeded)?;
        let (stream, speaks) = self.connector.connect().await?;
        let stream = stream.counted(self.counters.connection(), seat);
        self.chosen.set(Some(speaks));
        let link = match speaks {
            Speaks::Http1 => Link::Http1(Line::new(stream)),
            Speaks::Http2 => Link::Http2(self.streams.add(stream, self.connector.transport.http2).await?),
        };
        Ok(Lent { link, pool: Rc::clone(self), reused: false })
    }

    /// Says, now and then, why there is no connection.
    fn complain(&self, why: &str) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now - last >= QUIET) {
            self.complained.set(Some(now));
            tracing::warn!(endpoint = %self.connector.endpoint.id, why, "an endpoint cannot be reached");
        }
    }

    /// Closes what has been idle for longer than [`MAX_IDLE_TIME`] or was closed from afar.
    pub fn evict(&self, now: Instant) {
        let fresh =
            |idle: &Idle| now.saturating_duration_since(idle.since) < MAX_IDLE_TIME && idle.line.is_quiet();
        self.idle.borrow_mut().retain(fresh);
        self.streams.evict(now);
    }
}
