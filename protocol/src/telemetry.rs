//! One second of one proxy, as recorded and as judged: [`Window`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::latency::Latency;

/// The most cells one window may hold: what a proxy sees beyond goes into `endpoint: "other"` cells.
pub const MAX_CELLS: usize = 4_096;
/// The most clients one window lists by address.
pub const MAX_CLIENTS: usize = 32;
/// The caller at the edge of the mesh.
pub const CALLER_INTERNET: &str = "internet";

/// The caller of copies of requests that a route's mirror sends: no client waits for them. No workload's
/// identity can be called so.
pub const CALLER_MIRROR: &str = "lightsout:mirror";

/// The caller of requests that asked for a version on trial: whoever sends them chose to, and is not like
/// other users.
pub const CALLER_PREVIEW: &str = "lightsout:preview";

/// What one proxy saw in one window of about a second. The same window, whoever carries it, is the
/// same by `(proxy, boot, seq)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Who reports.
    pub proxy: String,
    /// Which life of that proxy: random at each start.
    pub boot: String,
    /// Counts up by one a window within one `boot`.
    pub seq: u64,
    /// Wall clock at its start, milliseconds since the epoch.
    pub start_ms: i64,
    /// Its length.
    pub duration_ms: u32,
    /// Which configuration was in force.
    #[serde(default)]
    pub config_hash: String,
    /// The traffic, by service, endpoint, route and caller.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// The busiest clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<Client>,
    /// All other clients together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_other: Option<ClientsOther>,
}

impl Window {
    /// The instant just after the window, milliseconds since the epoch.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::from(self.duration_ms))
    }
}

/// Requests that ended in a window, between one caller and one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The upstream service.
    pub service: String,
    /// The endpoint's version label; empty where none is configured.
    #[serde(default)]
    pub version: String,
    /// `ADDRESS:PORT`.
    pub endpoint: String,
    /// The route's name.
    #[serde(default)]
    pub route: String,
    /// The service beside which the proxy runs, [`CALLER_INTERNET`] at the edge.
    #[serde(default)]
    pub caller: String,
    /// Client-visible requests that ended here.
    #[serde(default)]
    pub requests: u64,
    /// Responses by class: `2xx`, `3xx`, `4xx`, `5xx`.
    #[serde(default)]
    pub status: BTreeMap<String, u64>,
    /// Requests whose response did not come in time.
    #[serde(default)]
    pub timeouts: u64,
    /// Requests whose connection broke before a response.
    #[serde(default)]
    pub resets: u64,
    /// Requests for which no connection could be made.
    #[serde(default)]
    pub connect_failures: u64,
    /// Attempts that failed here and were tried again.
    #[serde(default)]
    pub retries: u64,
    /// How long the responses took.
    #[serde(default)]
    pub latency: Latency,
    /// Request body bytes.
    #[serde(default)]
    pub bytes_in: u64,
    /// Response body bytes.
    #[serde(default)]
    pub bytes_out: u64,
    /// The most requests in flight at once.
    #[serde(default)]
    pub in_flight_max: u64,
}

impl Cell {
    /// Responses of one class, `"5xx"`.
    #[must_use]
    pub fn responses(&self, class: &str) -> u64 {
        self.status.get(class).copied().unwrap_or(0)
    }

    /// Requests that failed: 5xx, and those to which no response came. Nothing else is a failure.
    #[must_use]
    pub fn failures(&self) -> u64 {
        [self.timeouts, self.resets, self.connect_failures]
            .into_iter()
            .fold(self.responses("5xx"), u64::saturating_add)
    }

    /// Why the counts cannot be true, if they cannot: more answers than requests, latencies that
    /// are not answers, or numbers no proxy reaches in a window.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        const IMPOSSIBLE: u64 = 1 << 40;
        let responses = self.status.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
        let unanswered = [self.timeouts, self.resets, self.connect_failures];
        let ended = unanswered.into_iter().fold(responses, u64::saturating_add);
        if self.requests > IMPOSSIBLE || self.retries > IMPOSSIBLE || ended > IMPOSSIBLE {
            return Some("more requests than a proxy can serve in a window");
        }
        if ended != self.requests {
            return Some("requests are not the sum of their outcomes");
        }
        if self.latency.count() != responses {
            return Some("latency buckets do not add up to the responses");
        }
        if self.status.keys().any(|class| !matches!(class.as_str(), "1xx" | "2xx" | "3xx" | "4xx" | "5xx")) {
            return Some("a status class that does not exist");
        }
        None
    }
}

/// One client's share of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Requests that ended.
    pub requests: u64,
    /// Of them answered 4xx.
    #[serde(default)]
    pub status_4xx: u64,
    /// Of them failed.
    #[serde(default)]
    pub status_5xx: u64,
    /// Of them refused here: blocked, limited or shed.
    #[serde(default)]
    pub denied: u64,
    /// How many different paths; may be an estimate.
    #[serde(default)]
    pub distinct_paths: u64,
}

/// The clients that are not listed by address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientsOther {
    /// Their requests.
    pub requests: u64,
    /// How many they are; may be an estimate.
    pub distinct: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract_example() -> &'static str {
        r#"{"proxy":"p1","boot":"b","seq":12,"start_ms":1700000000000,"duration_ms":1000,"config_hash":"h","cells":[{"service":"cart","version":"v1","endpoint":"10.0.0.1:8080","route":"default","caller":"web","requests":200,"status":{"2xx":198,"4xx":1,"5xx":1},"timeouts":0,"resets":0,"connect_failures":0,"retries":0,"latency":{"gamma":1.02,"unit":"us","buckets":[[481,100],[482,100]]},"bytes_in":0,"bytes_out":0,"in_flight_max":4}],"clients":[{"ip":"203.0.113.7","requests":12,"status_4xx":0,"status_5xx":0,"denied":0,"distinct_paths":3}],"clients_other":{"requests":188,"distinct":60}}"#
    }

    #[test]
    fn a_recorded_line_reads_and_writes_back_to_the_same_bytes() -> Result<(), serde_json::Error> {
        let window: Window = serde_json::from_str(contract_example())?;
        assert_eq!(serde_json::to_string(&window)?, contract_example());
        assert_eq!(window.cells[0].contradiction(), None);
        assert_eq!(window.cells[0].failures(), 1);
        assert_eq!(window.end_ms(), 1_700_000_001_000);
        Ok(())
    }

    #[test]
    fn counts_that_do_not_add_up_are_a_contradiction() -> Result<(), serde_json::Error> {
        let window: Window = serde_json::from_str(contract_example())?;
        let mut cell = window.cells[0].clone();
        cell.timeouts = 3;
        assert!(cell.contradiction().is_some());
        cell.requests = u64::MAX;
        cell.timeouts = u64::MAX;
        assert!(cell.contradiction().is_some());
        Ok(())
    }
}
