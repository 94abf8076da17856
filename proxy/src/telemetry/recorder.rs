//! One worker's notes for the current window. Worker-local, never shared, never waiting.
//!
//! Latency is the time from the request's head to the response's head: what the endpoint took, not
//! what the client took to read. A request is noted when it ends, that is with the last byte of its
//! response's body; if the body breaks off, it still counts by the status that was sent.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::callers::{CallerId, Callers};
use super::cells::{CellId, CellPart, Cells, Ended, EndpointLabel};
use super::clients::{ClientOutcome, Clients, ClientsPart};

/// Where a worker leaves its windows.
#[derive(Debug, Clone)]
pub struct Tap {
    /// Bounded; when it is full the part is dropped, nobody waits.
    pub sender: mpsc::Sender<WorkerWindow>,
    /// Length of a window.
    pub window: Duration,
}

/// What one worker noted in one window.
#[derive(Debug, Default)]
pub struct WorkerWindow {
    /// Its cells.
    pub cells: Vec<CellPart>,
    /// Its clients.
    pub clients: ClientsPart,
}

/// See the module. Off, it notes nothing and costs a branch.
#[derive(Debug, Default)]
pub struct Recorder(Option<RefCell<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    cells: Cells,
    callers: Callers,
    clients: Clients,
}

impl Recorder {
    /// On or off, for good.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self(on.then(RefCell::default))
    }

    /// Whether it notes anything.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request to an endpoint begins.
    pub fn begin(&self, label: &Arc<EndpointLabel>, route: &Arc<str>, caller: CallerId) -> Option<CellId> {
        self.0.as_ref().map(|notes| notes.borrow_mut().cells.begin(label, route, caller))
    }

    /// The caller called `name`; to be asked once a connection.
    pub fn caller(&self, name: &str) -> CallerId {
        self.0.as_ref().map_or_else(CallerId::default, |notes| notes.borrow_mut().callers.known_as(name))
    }

    /// It ended; without `ended` when its client went away first.
    pub fn end(&self, cell: Option<CellId>, ended: Option<&Ended>) {
        if let (Some(notes), Some(cell)) = (&self.0, cell) {
            notes.borrow_mut().cells.end(cell, ended);
        }
    }

    /// An attempt ended that another took the place of.
    pub fn retried(&self, cell: Option<CellId>) {
        if let (Some(notes), Some(cell)) = (&self.0, cell) {
            notes.borrow_mut().cells.retried(cell);
        }
    }

    /// A client's request ended; `path` is the path's hash.
    pub fn client(&self, ip: IpAddr, path: u64, outcome: ClientOutcome) {
        if let Some(notes) = &self.0 {
            notes.borrow_mut().clients.record(ip, path, outcome);
        }
    }

    /// Takes the window's notes; `None` when off.
    pub fn take(&self) -> Option<WorkerWindow> {
        let mut notes = self.0.as_ref()?.borrow_mut();
        let Notes { cells, callers, clients } = &mut *notes;
        Some(WorkerWindow { cells: cells.take(callers), clients: clients.take() })
    }
}
