//! One worker's cells: what went between this proxy and each endpoint by each route, since the last window.

mod counts;
mod recent;

use std::sync::Arc;

use ahash::AHashMap;
use protocol::telemetry::MAX_CELLS;

use super::callers::{CallerId, Callers};
pub use counts::{Counts, Ended};
use recent::Recent;

/// An endpoint as telemetry calls it. Two labels are the same cell only if they are the same
/// allocation: a new table brings new labels, and their windows are added up by name.
#[derive(Debug, PartialEq, Eq)]
pub struct EndpointLabel {
    /// The service.
    pub service: String,
    /// The version; empty where none is configured.
    pub version: String,
    /// `ADDRESS:PORT`; [`NO_ENDPOINT`] or [`OTHER_ENDPOINT`].
    pub endpoint: String,
}

/// Where a request stands to which no endpoint could be given.
pub const NO_ENDPOINT: &str = "none";
/// Where requests stand for whose own cell there was no room.
pub const OTHER_ENDPOINT: &str = "other";

/// A cell of the current table of cells; valid while a request that began in it has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellId(usize);

#[derive(Debug)]
struct Cell {
    label: Arc<EndpointLabel>,
    route: Arc<str>,
    caller: CallerId,
    in_flight: u64,
    counts: Counts,
}

/// See the module. At most [`MAX_CELLS`]; what would be more goes to one cell for all.
#[derive(Debug, Default)]
pub struct Cells {
    slots: Vec<Option<Cell>>,
    free: Vec<usize>,
    /// By the addresses of label and route, which live as long as the cell that holds them.
    ids: AHashMap<Key, usize>,
    recent: Recent,
    overflow: Option<(Arc<EndpointLabel>, Arc<str>)>,
}

/// One cell of one worker's window.
#[derive(Debug)]
pub struct CellPart {
    /// Which endpoint.
    pub label: Arc<EndpointLabel>,
    /// By which route.
    pub route: Arc<str>,
    /// Of whom; `None`: whoever the proxy stands beside.
    pub caller: Option<Arc<str>>,
    /// What was counted.
    pub counts: Counts,
}

type Key = (usize, usize, CallerId);

fn key_of(label: &Arc<EndpointLabel>, route: &Arc<str>, caller: CallerId) -> Key {
    (Arc::as_ptr(label).addr(), Arc::as_ptr(route).cast::<u8>().addr(), caller)
}

impl Cells {
    /// A request to an endpoint begins.
    pub fn begin(&mut self, label: &Arc<EndpointLabel>, route: &Arc<str>, caller: CallerId) -> CellId {
        let key = key_of(label, route, caller);
        let id = self.recent.get(&key).unwrap_or_else(|| self.look_up(key, label, route));
        if let Some(Some(cell)) = self.slots.get_mut(id) {
            cell.in_flight += 1;
            cell.counts.in_flight_max = cell.counts.in_flight_max.max(cell.in_flight);
        }
        CellId(id)
    }

    /// It ended; without an outcome when its client went away before there was one.
    pub fn end(&mut self, CellId(id): CellId, ended: Option<&Ended>) {
        if let Some(Some(cell)) = self.slots.get_mut(id) {
            cell.in_flight = cell.in_flight.saturating_sub(1);
            if let Some(ended) = ended {
                cell.counts.add(ended);
            }
        }
    }

    /// An attempt ended that another took the place of.
    pub fn retried(&mut self, CellId(id): CellId) {
        if let Some(Some(cell)) = self.slots.get_mut(id) {
            cell.in_flight = cell.in_flight.saturating_sub(1);
            cell.counts.retries += 1;
        }
    }

    /// Takes the window's counts. Cells without requests and without in-flight are forgotten. Callers' names are
    /// those of `callers`.
    pub fn take(&mut self, callers: &Callers) -> Vec<CellPart> {
        let (mut parts, free) = (Vec::with_capacity(self.ids.len()), self.free.len());
        for id in 0..self.slots.len() {
            let Some(cell) = self.slots[id].as_mut() else { continue };
            let fresh = Counts { in_flight_max: cell.in_flight, ..Counts::default() };
            let counts = std::mem::replace(&mut cell.counts, fresh);
            let idle = counts.requests == 0 && counts.retries == 0 && counts.in_flight_max == 0;
            if !idle {
                let (label, route) = (Arc::clone(&cell.label), Arc::clone(&cell.route));
                parts.push(CellPart { label, route, caller: callers.name(cell.caller), counts });
            } else if let Some(cell) = self.slots[id].take() {
                self.ids.remove(&key_of(&cell.label, &cell.route, cell.caller));
                self.free.push(id);
            }
        }
        if self.free.len() > free {
            // What they pointed at may become something else's address.
            self.recent = Recent::default();
        }
        parts
    }

    fn look_up(&mut self, key: Key, label: &Arc<EndpointLabel>, route: &Arc<str>) -> usize {
        let id = self.ids.get(&key).copied().unwrap_or_else(|| self.find_room(label, route, key.2));
        self.recent.put(key, id);
        id
    }

    fn find_room(&mut self, label: &Arc<EndpointLabel>, route: &Arc<str>, caller: CallerId) -> usize {
        // The last place is kept for what finds no other.
        if self.ids.len() + 1 < MAX_CELLS {
            return self.insert(Arc::clone(label), Arc::clone(route), caller);
        }
        let (label, route) = self.overflow.get_or_insert_with(|| {
            let other = || OTHER_ENDPOINT.to_owned();
            let label = EndpointLabel { service: other(), version: String::new(), endpoint: other() };
            (Arc::new(label), Arc::from(OTHER_ENDPOINT))
        });
        let (label, route) = (Arc::clone(label), Arc::clone(route));
        let caller = CallerId::default();
        match self.ids.get(&key_of(&label, &route, caller)) {
            Some(id) => *id,
            None => self.insert(label, route, caller),
        }
    }

    fn insert(&mut self, label: Arc<EndpointLabel>, route: Arc<str>, caller: CallerId) -> usize {
        let key = key_of(&label, &route, caller);
        let cell = Some(Cell { label, route, caller, in_flight: 0, counts: Counts::default() });
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[id] = cell;
        self.ids.insert(key, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Outcome;
    use std::time::Duration;

    fn label(endpoint: &str) -> Arc<EndpointLabel> {
        let (service, version) = ("cart".to_owned(), String::new());
        Arc::new(EndpointLabel { service, version, endpoint: endpoint.to_owned() })
    }

    fn ended(outcome: Outcome) -> Ended {
        Ended { outcome, took: Duration::from_micros(900), bytes_in: 1, bytes_out: 2 }
    }

    #[test]
    fn every_request_counts_under_exactly_one_outcome_and_responses_are_timed() {
        let (mut cells, label, route) = (Cells::default(), label("a:1"), Arc::from("r"));
        let outcomes = [Outcome::Status(200), Outcome::Status(503), Outcome::Timeout, Outcome::Reset];
        for outcome in outcomes.into_iter().chain([Outcome::ConnectFailure]) {
            let id = cells.begin(&label, &route, CallerId::default());
            cells.end(id, Some(&ended(outcome)));
        }
        let abandoned = cells.begin(&label, &route, CallerId::default());
        cells.end(abandoned, None);
        let counts = &cells.take(&Callers::default())[0].counts;
        assert_eq!((counts.requests, counts.classes), (5, [0, 1, 0, 0, 1]));
        assert_eq!((counts.timeouts, counts.resets, counts.connect_failures), (1, 1, 1));
        assert_eq!(counts.buckets.iter().sum::<u32>(), 2);
        assert_eq!((counts.bytes_in, counts.bytes_out, counts.in_flight_max), (5, 10, 1));
    }

    #[test]
    fn a_request_in_flight_keeps_its_cell_over_windows_and_idle_cells_go() {
        let (mut cells, label, route) = (Cells::default(), label("a:1"), Arc::from("r"));
        let id = cells.begin(&label, &route, CallerId::default());
        assert_eq!(cells.take(&Callers::default()).len(), 1);
        assert_eq!(cells.take(&Callers::default())[0].counts.in_flight_max, 1);
        cells.end(id, Some(&ended(Outcome::Status(200))));
        assert_eq!(cells.take(&Callers::default())[0].counts.requests, 1);
        assert!(cells.take(&Callers::default()).is_empty());
        assert!(cells.ids.is_empty());
    }

    #[test]
    fn a_place_that_another_took_over_is_not_taken_for_the_one_before() {
        let (mut cells, route) = (Cells::default(), Arc::from("r"));
        let fine = ended(Outcome::Status(200));
        for n in 0..50 {
            let label = label(&n.to_string());
            let id = cells.begin(&label, &route, CallerId::default());
            cells.end(id, Some(&fine));
            let parts = cells.take(&Callers::default());
            assert_eq!(parts.len(), 1);
            assert_eq!((&parts[0].label.endpoint, parts[0].counts.requests), (&n.to_string(), 1));
            drop((label, parts));
            assert!(cells.take(&Callers::default()).is_empty());
        }
    }

    #[test]
    fn callers_are_told_apart_at_the_same_endpoint() {
        let (mut cells, label, route) = (Cells::default(), label("a:1"), Arc::from("r"));
        let mut callers = Callers::default();
        for caller in [CallerId::default(), callers.known_as("web"), callers.known_as("web")] {
            let id = cells.begin(&label, &route, caller);
            cells.end(id, Some(&ended(Outcome::Status(200))));
        }
        let counted: Vec<_> =
            cells.take(&callers).into_iter().map(|p| (p.caller, p.counts.requests)).collect();
        assert_eq!(counted, [(None, 1), (Some(Arc::from("web")), 2)]);
    }

    #[test]
    fn beyond_the_bound_requests_are_still_counted_together() {
        let (mut cells, route) = (Cells::default(), Arc::from("r"));
        let labels: Vec<_> = (0..MAX_CELLS + 10).map(|n| label(&n.to_string())).collect();
        for label in &labels {
            let id = cells.begin(label, &route, CallerId::default());
            cells.end(id, Some(&ended(Outcome::Status(200))));
        }
        let parts = cells.take(&Callers::default());
        assert_eq!(parts.len(), MAX_CELLS);
        assert_eq!(parts.iter().map(|p| p.counts.requests).sum::<u64>(), MAX_CELLS as u64 + 10);
        assert!(parts.iter().any(|p| p.label.endpoint == OTHER_ENDPOINT));
    }
}
