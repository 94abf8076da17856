//! HTTP/2 connections that requests share.

use std::cell::{Cell, RefCell};
use std::io::Result;
use std::rc::Rc;

use hyper::client::conn::http2::SendRequest;
use tokio::time::Instant;

use super::{MAX_IDLE_TIME, http2};
use crate::settings::StreamBounds;
use crate::upstream::connector::Stream;
use crate::upstream::upload::Upload;

/// Connections to one endpoint at once; when all are full, requests wait on the least loaded for as long as
/// they have time.
const MAX_CONNECTIONS: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Streams {
    connections: RefCell<Vec<Rc<Shared>>>,
    opened: Cell<u64>,
    most: usize,
}

/// One connection.
#[derive(Debug)]
struct Shared {
    sender: SendRequest<Upload>,
    /// Counted from 1.
    number: u64,
    /// Requests on it.
    taken: Cell<usize>,
    /// Requests it takes at once.
    room: Rc<Cell<usize>>,
    /// Since when nothing is on it, if nothing is.
    since: Cell<Instant>,
    /// Whether nothing may be sent on it any more.
    retired: Cell<bool>,
}

/// One request's place on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Rc<Shared>);

impl Streams {
    pub(super) fn new(bounds: StreamBounds) -> Self {
        let most = bounds.max_concurrent_streams as usize;
        Self { connections: RefCell::default(), opened: Cell::default(), most }
    }

    /// A place on the least loaded connection of those opened after the one with this number; `None` where
    /// another connection is wanted.
    pub(super) fn take(&self, after: u64) -> Option<Place> {
        let all = self.connections.borrow();
        let usable = |shared: &&Rc<Shared>| !shared.is_over() && shared.number > after;
        let least = all.iter().filter(usable).min_by_key(|shared| shared.taken.get())?;
        let full = least.taken.get() >= least.room.get();
        (!full || all.len() >= MAX_CONNECTIONS).then(|| Place::on(least))
    }

    /// Begins to speak on a new connection.
    pub(super) async fn add(&self, stream: Stream, bounds: StreamBounds) -> Result<Place> {
        let room = Rc::new(Cell::new(self.most));
        let sender = http2::handshake(stream, bounds, Rc::clone(&room)).await?;
        self.opened.set(self.opened.get() + 1);
        let (taken, since, retired) = (Cell::new(0), Cell::new(Instant::now()), Cell::new(false));
        let shared = Rc::new(Shared { sender, number: self.opened.get(), taken, room, since, retired });
        let place = Place::on(&shared);
        let mut all = self.connections.borrow_mut();
        all.retain(|shared| !shared.is_over());
        all.push(shared);
        Ok(place)
    }

    /// Closes what is idle for too long; what is over is closed with its last request.
    pub(super) fn evict(&self, now: Instant) {
        let fresh = |shared: &Shared| {
            shared.taken.get() > 0 || now.saturating_duration_since(shared.since.get()) < MAX_IDLE_TIME
        };
        self.connections.borrow_mut().retain(|shared| !shared.is_over() && fresh(shared));
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.retired.get() || self.sender.is_closed()
    }
}

impl Place {
    fn on(shared: &Rc<Shared>) -> Self {
        shared.taken.set(shared.taken.get() + 1);
        Self(Rc::clone(shared))
    }

    /// To send one request with.
    pub(super) fn sender(&self) -> SendRequest<Upload> {
        self.0.sender.clone()
    }

    /// Its connection's number.
    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether nothing is sent on its connection any more.
    pub(super) fn is_retired(&self) -> bool {
        self.0.retired.get()
    }

    /// Nothing is sent on its connection any more; what is under way goes on.
    pub(super) fn retire(&self) {
        self.0.retired.set(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get().saturating_sub(1));
        self.0.since.set(Instant::now());
    }
}
