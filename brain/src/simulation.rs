//! A mesh on paper: seeded, without a clock, with proxies that honour leases. What the loop's tests
//! run against; absent from the binary.

mod dice;
mod leases;
mod spec;
mod told;
mod traffic;

use std::collections::BTreeMap;

use protocol::snapshot::Health;
use protocol::telemetry::{ClientsOther, Window};

use crate::domain::Refusal;
use dice::Dice;
use leases::Lease;
pub(crate) use spec::{Fault, Spec, Surge};

/// The mesh: one proxy per caller, all of them holding leases.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) specs: Vec<Spec>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) surges: Vec<Surge>,
    /// Proxies answer puts with this refusal.
    pub(crate) refuses: Option<Refusal>,
    /// Only this one does; absent: all.
    pub(crate) refuses_at: Option<&'static str>,
    /// Health checks, by (service, endpoint) index.
    pub(crate) health: BTreeMap<(String, usize), Health>,
    /// Ejecting makes the rest fail this much: an action that does harm.
    pub(crate) harm: f64,
    pub(crate) boot: u32,
    leases: BTreeMap<(String, String), Lease>,
    drift: BTreeMap<(usize, usize), f64>,
    dice: Dice,
    seq: u64,
    lognormal: Vec<f64>,
    pub(crate) start_ms: i64,
    second: i64,
}

impl Mesh {
    pub(crate) fn new(specs: Vec<Spec>, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let lognormal = (0..512).map(|_| (0.4 * dice.normal()).exp()).collect();
        Self {
            specs,
            faults: Vec::new(),
            surges: Vec::new(),
            refuses: None,
            refuses_at: None,
            health: BTreeMap::new(),
            harm: 0.0,
            boot: 1,
            leases: BTreeMap::new(),
            drift: BTreeMap::new(),
            dice,
            seq: 0,
            lognormal,
            start_ms: 1_700_000_000_000,
            second: 0,
        }
    }

    /// Now: the end of the newest window.
    pub(crate) fn now_ms(&self) -> i64 {
        self.start_ms + self.second * 1_000
    }

    pub(crate) fn endpoint(service: usize, endpoint: usize) -> String {
        format!("10.0.{service}.{}:8080", endpoint + 1)
    }

    fn proxies(&self) -> Vec<String> {
        self.specs.iter().flat_map(|s| (0..s.proxies).map(|n| s.proxy(n))).collect()
    }

    /// The next second: one window from each proxy.
    pub(crate) fn second(&mut self) -> Vec<Window> {
        let (second, start_ms) = (self.second, self.now_ms());
        self.second += 1;
        self.seq += 1;
        let now_ms = start_ms;
        self.leases.retain(|_, lease| lease.expires_ms > now_ms);
        let mut windows = Vec::new();
        let usual = self.specs.first().map_or(1.0, |s| s.rps);
        let (asked, clients) = self.clients(second as f64, usual);
        let grown = (usual + asked) / usual;
        // Callees first: their failures are their callers' failures.
        let mut failing_below = 0.0;
        for index in (0..self.specs.len()).rev() {
            let spec = self.specs[index].clone();
            let mut failing = 0.0;
            for n in 0..spec.proxies {
                let proxy = spec.proxy(n);
                let (cells, failed) = self.cells(index, &proxy, second as f64, failing_below, grown);
                failing += failed / spec.proxies as f64;
                let edge = spec.caller == "internet";
                let requests: u64 = cells.iter().map(|c| c.requests).sum();
                let listed: u64 = clients.iter().map(|c| c.requests - c.denied).sum();
                let other = ClientsOther { requests: requests.saturating_sub(listed), distinct: 60 };
                windows.push(Window {
                    proxy,
                    boot: format!("b{}", self.boot),
                    seq: self.seq,
                    start_ms,
                    duration_ms: 1_000,
                    config_hash: String::new(),
                    cells,
                    clients: if edge { clients.clone() } else { Vec::new() },
                    clients_other: edge.then_some(other),
                });
            }
            failing_below = failing;
        }
        windows
    }
}
