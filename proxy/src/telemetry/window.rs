//! All workers' parts of one window, added up by name.

use std::collections::BTreeMap;

use protocol::latency::Latency;
use protocol::telemetry::{Cell, MAX_CELLS, Window};

use super::cells::{CellPart, Counts, OTHER_ENDPOINT};
use super::clients::MergedClients;
use super::recorder::WorkerWindow;

/// Status classes as a window names them.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Which window, of whom.
#[derive(Debug, Clone)]
pub struct WindowHead {
    /// Who reports.
    pub proxy: String,
    /// Which life of it.
    pub boot: String,
    /// The service beside which the proxy runs.
    pub caller: String,
    /// Counts up by one a window.
    pub seq: u64,
    /// Wall clock at its start, milliseconds since the epoch.
    pub start_ms: i64,
    /// Its length, milliseconds.
    pub duration_ms: u32,
    /// The configuration in force.
    pub config_hash: String,
}

/// Adds up workers' parts until the window is over. Cells are kept apart by service, version,
/// endpoint, route and caller.
#[derive(Debug, Default)]
pub struct WindowSum {
    cells: BTreeMap<CellKey, Counts>,
    clients: MergedClients,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CellKey {
    service: String,
    endpoint: String,
    version: String,
    route: String,
    /// Absent: whoever the proxy stands beside.
    caller: Option<String>,
}

impl WindowSum {
    /// Adds one worker's part.
    pub fn add(&mut self, part: WorkerWindow) {
        self.clients.add(part.clients);
        for cell in part.cells {
            let CellPart { label, route, caller, counts } = cell;
            let mut key = CellKey {
                service: label.service.clone(),
                endpoint: label.endpoint.clone(),
                version: label.version.clone(),
                route: route.to_string(),
                caller: caller.map(|caller| caller.to_string()),
            };
            if self.cells.len() >= MAX_CELLS - 1 && !self.cells.contains_key(&key) {
                let other = || OTHER_ENDPOINT.to_owned();
                key = CellKey {
                    service: other(),
                    endpoint: other(),
                    version: String::new(),
                    route: other(),
                    caller: None,
                };
            }
            add_counts(self.cells.entry(key).or_default(), counts);
        }
    }

    /// The finished window.
    #[must_use]
    pub fn finish(self, head: WindowHead) -> Window {
        let cells = self.cells.into_iter().map(|(key, counts)| cell(key, counts, &head.caller)).collect();
        let (clients, clients_other) = self.clients.report();
        Window {
            proxy: head.proxy,
            boot: head.boot,
            seq: head.seq,
            start_ms: head.start_ms,
            duration_ms: head.duration_ms,
            config_hash: head.config_hash,
            cells,
            clients,
            clients_other,
        }
    }
}

/// `in_flight_max` adds up too: an upper bound of what all workers had at once.
fn add_counts(sum: &mut Counts, part: Counts) {
    sum.requests += part.requests;
    sum.timeouts += part.timeouts;
    sum.resets += part.resets;
    sum.connect_failures += part.connect_failures;
    sum.retries += part.retries;
    sum.bytes_in += part.bytes_in;
    sum.bytes_out += part.bytes_out;
    sum.in_flight_max += part.in_flight_max;
    sum.classes.iter_mut().zip(part.classes).for_each(|(mine, theirs)| *mine += theirs);
    if sum.buckets.len() < part.buckets.len() {
        sum.buckets.resize(part.buckets.len(), 0);
    }
    sum.buckets.iter_mut().zip(part.buckets).for_each(|(mine, theirs)| *mine = mine.saturating_add(theirs));
}

fn cell(key: CellKey, counts: Counts, caller: &str) -> Cell {
    let classes = CLASSES.iter().zip(counts.classes).filter(|(_, n)| *n > 0);
    let buckets = counts.buckets.iter().enumerate().filter(|(_, n)| **n > 0);
    Cell {
        service: key.service,
        version: key.version,
        endpoint: key.endpoint,
        route: key.route,
        caller: key.caller.unwrap_or_else(|| caller.to_owned()),
        requests: counts.requests,
        status: classes.map(|(class, n)| ((*class).to_owned(), n)).collect(),
        timeouts: counts.timeouts,
        resets: counts.resets,
        connect_failures: counts.connect_failures,
        retries: counts.retries,
        latency: Latency {
            buckets: buckets
                .map(|(index, n)| (i32::try_from(index).unwrap_or(i32::MAX), u64::from(*n)))
                .collect(),
            ..Latency::default()
        },
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
        in_flight_max: counts.in_flight_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Outcome;
    use crate::telemetry::callers::{CallerId, Callers};
    use crate::telemetry::cells::{Cells, Ended, EndpointLabel};
    use std::sync::Arc;
    use std::time::Duration;

    fn part(outcome: Outcome) -> WorkerWindow {
        let mut cells = Cells::default();
        let label = EndpointLabel { service: "cart".into(), version: "v1".into(), endpoint: "a:1".into() };
        let id = cells.begin(&Arc::new(label), &Arc::from("default"), CallerId::default());
        let took = Duration::from_millis(3);
        cells.end(id, Some(&Ended { outcome, took, bytes_in: 1, bytes_out: 2 }));
        WorkerWindow { cells: cells.take(&Callers::default()), ..WorkerWindow::default() }
    }

    #[test]
    fn workers_parts_add_up_by_name_without_contradiction() {
        let mut sum = WindowSum::default();
        for outcome in [Outcome::Status(200), Outcome::Status(404), Outcome::Timeout] {
            sum.add(part(outcome));
        }
        let head = WindowHead {
            proxy: "p1".into(),
            boot: "b".into(),
            caller: "web".into(),
            seq: 1,
            start_ms: 0,
            duration_ms: 1_000,
            config_hash: "h".into(),
        };
        let window = sum.finish(head);
        assert_eq!(window.cells.len(), 1);
        let cell = &window.cells[0];
        assert_eq!((cell.requests, cell.timeouts, cell.in_flight_max), (3, 1, 3));
        assert_eq!((cell.responses("2xx"), cell.responses("4xx")), (1, 1));
        assert_eq!((cell.caller.as_str(), cell.contradiction()), ("web", None));
    }
}
