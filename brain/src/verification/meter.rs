//! Counts what happens to one service from a moment on: the treated part apart from the rest, and the
//! proxies that are treated apart from those that are not.

use std::collections::BTreeSet;

use ipnet::IpNet;
use protocol::telemetry::{Cell, Window};

use crate::state::Tally;

/// What of a service a remedy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// One endpoint.
    Endpoint(String),
    /// Every endpoint that runs this version.
    Version(String),
    /// What these clients ask.
    Clients(Vec<IpNet>),
}

impl Part {
    fn holds(&self, cell: &Cell) -> bool {
        match self {
            Self::Endpoint(id) => *id == cell.endpoint,
            Self::Version(label) => *label == cell.version,
            Self::Whole | Self::Clients(_) => false,
        }
    }
}

/// What is counted, and where.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Of this service.
    pub service: String,
    /// What of it is treated.
    pub part: Part,
    /// Slow is what lies above this bucket.
    pub slow_index: i32,
    /// The proxies that carry the remedy out; the others show what happens without it. Absent: all do.
    pub treated: Option<BTreeSet<String>>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Meter {
    scope: Scope,
    from_ms: i64,
    /// The first begin and the last end of what was counted at the treated proxies.
    counted_ms: Option<(i64, i64)>,
    own: Tally,
    all: Tally,
    control: Tally,
    served: u64,
    denied: u64,
    tells_of_clients: bool,
}

impl Meter {
    /// Counts windows that start at or after `from_ms`.
    #[must_use]
    pub fn new(scope: Scope, from_ms: i64) -> Self {
        Self {
            scope,
            from_ms,
            counted_ms: None,
            own: Tally::default(),
            all: Tally::default(),
            control: Tally::default(),
            served: 0,
            denied: 0,
            tells_of_clients: false,
        }
    }

    /// Counts a window in.
    pub fn observe(&mut self, window: &Window) {
        if window.start_ms < self.from_ms || window.cells.iter().any(|c| c.contradiction().is_some()) {
            return;
        }
        let is_treated = self.scope.treated.as_ref().is_none_or(|treated| treated.contains(&window.proxy));
        for cell in window.cells.iter().filter(|c| c.service == self.scope.service) {
            let tally = Tally {
                n: cell.requests.saturating_add(cell.retries),
                failed: cell.failures().saturating_add(cell.retries),
                slow: cell.latency.count_above(self.scope.slow_index),
            };
            if !is_treated {
                self.control.add(tally);
                continue;
            }
            self.all.add(tally);
            if self.scope.part.holds(cell) {
                self.own.add(tally);
            }
        }
        if is_treated {
            let (since_ms, until_ms) = self.counted_ms.unwrap_or((window.start_ms, window.end_ms()));
            self.counted_ms = Some((since_ms.min(window.start_ms), until_ms.max(window.end_ms())));
            self.observe_clients(window);
        }
    }

    fn observe_clients(&mut self, window: &Window) {
        let Part::Clients(nets) = &self.scope.part else { return };
        self.tells_of_clients |= window.clients_other.is_some() || !window.clients.is_empty();
        let named =
            window.clients.iter().filter(|c| nets.iter().any(|net| net.contains(&c.ip.to_canonical())));
        for client in named {
            let denied = client.denied.min(client.requests);
            self.denied = self.denied.saturating_add(denied);
            self.served = self.served.saturating_add(client.requests - denied);
        }
    }

    /// Since when it counts.
    #[must_use]
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// Seconds that were counted at the treated proxies. The first window begins after the time it is counted
    /// from, by up to its own length: that is no time in which nothing was served.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.counted_ms.map_or(0.0, |(since_ms, until_ms)| (until_ms - since_ms) as f64 / 1_000.0)
    }

    /// The treated part's count, and that of the rest of the service.
    #[must_use]
    pub fn own_and_others(&self) -> (Tally, Tally) {
        (self.own, self.all.without(self.own))
    }

    /// The whole service's count, at the treated proxies.
    #[must_use]
    pub fn all(&self) -> Tally {
        self.all
    }

    /// The whole service's count at the proxies that are not treated.
    #[must_use]
    pub fn control(&self) -> Tally {
        self.control
    }

    /// Requests a second that the clients in question were served, and were denied. Absent: nothing was
    /// told of clients, which is no sign that they have gone.
    #[must_use]
    pub fn clients_rps(&self) -> Option<(f64, f64)> {
        let seconds = self.seconds();
        let told = self.tells_of_clients && seconds > 0.0;
        told.then(|| (self.served as f64 / seconds, self.denied as f64 / seconds))
    }
}
