//! A mesh on paper: seeded, without a clock, with proxies that honour leases. What the loop's tests
//! run against; absent from the binary.

mod dice;

use std::collections::BTreeMap;

use jiff::Timestamp;
use protocol::action::{ActionKind, LeaseRow, Receipt};
use protocol::id::{ActionId, EndpointId, Epoch, ProxyId, ServiceName};
use protocol::latency::{Latency, index_of};
use protocol::snapshot::{BreakerState, EndpointStatus, Health, ProxyStatus, ServiceStatus};
use protocol::telemetry::{Cell, Window};

use dice::Dice;

use crate::domain::{Command, Outcome, Refusal, Reply, Verb};

/// What is wrong with one endpoint, or with all of a service, for a while.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) service: &'static str,
    /// `None`: all of them.
    pub(crate) endpoint: Option<usize>,
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) error_share: f64,
    pub(crate) slow_factor: f64,
}

/// One service of the mesh.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) caller: &'static str,
    pub(crate) endpoints: usize,
    pub(crate) rps: f64,
    pub(crate) base_error: f64,
    pub(crate) latency_us: f64,
    /// Standard deviation of the log of a per-endpoint, slowly drifting error factor.
    pub(crate) wild: f64,
}

impl Spec {
    pub(crate) fn new(name: &'static str, caller: &'static str, endpoints: usize, rps: f64) -> Self {
        Self { name, caller, endpoints, rps, base_error: 0.001, latency_us: 4_000.0, wild: 0.0 }
    }
}

#[derive(Debug)]
struct Lease {
    kind: ActionKind,
    service: String,
    row: LeaseRow,
    expires_ms: i64,
}

/// The mesh: one proxy per caller, all of them holding leases.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) specs: Vec<Spec>,
    pub(crate) faults: Vec<Fault>,
    /// Proxies answer puts with this refusal.
    pub(crate) refuses: Option<Refusal>,
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
            refuses: None,
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
        self.specs.iter().map(|s| format!("{}-proxy", s.caller)).collect()
    }

    /// The next second: one window from each proxy.
    pub(crate) fn second(&mut self) -> Vec<Window> {
        let (second, start_ms) = (self.second, self.now_ms());
        self.second += 1;
        self.seq += 1;
        let now_ms = start_ms;
        self.leases.retain(|_, lease| lease.expires_ms > now_ms);
        let mut windows = Vec::new();
        // Callees first: their failures are their callers' failures.
        let mut failing_below = 0.0;
        for index in (0..self.specs.len()).rev() {
            let (cells, failed) = self.cells(index, second as f64, failing_below);
            failing_below = failed;
            windows.push(Window {
                proxy: format!("{}-proxy", self.specs[index].caller),
                boot: format!("b{}", self.boot),
                seq: self.seq,
                start_ms,
                duration_ms: 1_000,
                config_hash: String::new(),
                cells,
                clients: Vec::new(),
                clients_other: None,
            });
        }
        windows
    }

    fn cells(&mut self, index: usize, second: f64, below: f64) -> (Vec<Cell>, f64) {
        let spec = self.specs[index].clone();
        let weights = self.weights(index);
        let total: f64 = weights.iter().sum();
        let harmed = if weights.contains(&0.0) { self.harm } else { 0.0 };
        let (mut cells, mut failing) = (Vec::new(), 0.0);
        for (endpoint, weight) in weights.iter().enumerate() {
            let n = self.dice.poisson(spec.rps * weight / total.max(1e-9));
            let (error, factor) = self.trouble(&spec, endpoint, second);
            let base = self.base(&spec, index, endpoint);
            let share = 1.0 - (1.0 - base) * (1.0 - error) * (1.0 - below) * (1.0 - harmed);
            let cell = self.cell(&spec, index, endpoint, n, share, factor);
            failing += share * weight / total.max(1e-9);
            if n > 0 {
                cells.push(cell);
            }
        }
        // What callers see is drawn anew: they do not share a request's luck.
        (cells, failing)
    }

    fn base(&mut self, spec: &Spec, index: usize, endpoint: usize) -> f64 {
        if spec.wild == 0.0 {
            return spec.base_error;
        }
        let step = self.dice.normal();
        let drift = self.drift.entry((index, endpoint)).or_insert(0.0);
        // An AR(1) walk with a memory of half a minute.
        *drift = 0.97 * *drift + 0.243 * step;
        (spec.base_error * (spec.wild * *drift).exp()).min(0.5)
    }

    fn trouble(&self, spec: &Spec, endpoint: usize, second: f64) -> (f64, f64) {
        let (mut error, mut factor) = (0.0f64, 1.0f64);
        for fault in self.faults.iter().filter(|f| f.service == spec.name) {
            let overlap = (fault.to_s.min(second + 1.0) - fault.from_s.max(second)).clamp(0.0, 1.0);
            if fault.endpoint.is_none_or(|e| e == endpoint) && overlap > 0.0 {
                error = error.max(fault.error_share * overlap);
                factor = factor.max(1.0 + (fault.slow_factor - 1.0) * overlap);
            }
        }
        (error, factor)
    }

    fn cell(&mut self, spec: &Spec, index: usize, endpoint: usize, n: u64, share: f64, factor: f64) -> Cell {
        let failed = (0..n).filter(|_| self.dice.unit() < share).count() as u64;
        let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
        for _ in 0..n {
            let spread = self.lognormal[(self.dice.next() >> 40) as usize % self.lognormal.len()];
            *buckets.entry(index_of((spec.latency_us * factor * spread) as u64)).or_default() += 1;
        }
        let status = [("2xx", n - failed), ("5xx", failed)];
        Cell {
            service: spec.name.to_owned(),
            version: "v1".to_owned(),
            endpoint: Self::endpoint(index, endpoint),
            route: "default".to_owned(),
            caller: spec.caller.to_owned(),
            requests: n,
            status: status.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
            latency: Latency { buckets: buckets.into_iter().collect(), ..Latency::default() },
            in_flight_max: 1 + n / 50,
            ..Cell::default()
        }
    }

    /// Weights of a service's endpoints at its proxy, leases applied: an ejection wins.
    fn weights(&self, index: usize) -> Vec<f64> {
        let (spec, proxy) = (&self.specs[index], format!("{}-proxy", self.specs[index].caller));
        let leases = self.leases.iter().filter(|((p, _), l)| *p == proxy && l.service == spec.name);
        let leases: Vec<&Lease> = leases.map(|(_, lease)| lease).collect();
        (0..spec.endpoints)
            .map(|e| {
                let name = Self::endpoint(index, e);
                let mut weight = 1.0;
                for lease in &leases {
                    if let ActionKind::SetWeights { weights } = &lease.kind {
                        weight = weights.get(&name).map_or(weight, |w| f64::from(*w));
                    }
                }
                let out = leases.iter().any(|l| l.kind.endpoint().is_some_and(|e| e.as_str() == name));
                if out || self.health.get(&(spec.name.to_owned(), e)) == Some(&Health::Unhealthy) {
                    0.0
                } else {
                    weight
                }
            })
            .collect()
    }

    /// What the proxies tell of themselves.
    pub(crate) fn fleet(&self) -> BTreeMap<String, ProxyStatus> {
        let status = |proxy: String| {
            let services =
                self.specs.iter().enumerate().filter(|(_, s)| format!("{}-proxy", s.caller) == proxy);
            let services = services.map(|(index, _)| self.service_status(index)).collect();
            let leases = self.leases.iter().filter(|((p, _), _)| *p == proxy).map(|(_, l)| l.row.clone());
            let status = ProxyStatus {
                proxy: ProxyId::new(proxy.clone()).unwrap(),
                boot: format!("b{}", self.boot),
                version: "0".into(),
                protocol: 1,
                uptime_s: 1,
                config_hash: String::new(),
                live_state_hash: String::new(),
                epoch: Epoch(1),
                frozen: false,
                draining: false,
                services,
                leases: leases.collect(),
            };
            (proxy, status)
        };
        self.proxies().into_iter().map(status).collect()
    }

    fn service_status(&self, index: usize) -> ServiceStatus {
        let spec = &self.specs[index];
        let weights = self.weights(index);
        let endpoints = (0..spec.endpoints).map(|e| EndpointStatus {
            endpoint: EndpointId::new(Self::endpoint(index, e)).unwrap(),
            version: "v1".into(),
            health: self.health.get(&(spec.name.to_owned(), e)).copied().unwrap_or(Health::Unknown),
            weight_configured: 1,
            weight: weights[e] as u32,
            ejected: weights[e] == 0.0,
            breaker: BreakerState::Closed,
            outlier: None,
            in_flight: 0,
        });
        ServiceStatus {
            service: ServiceName::new(spec.name).unwrap(),
            algorithm: "round_robin".into(),
            endpoints: endpoints.collect(),
        }
    }

    /// Forgets all leases, as a restarted proxy does.
    pub(crate) fn restart_proxies(&mut self) {
        self.leases.clear();
        self.boot += 1;
    }

    /// How many leases are live.
    pub(crate) fn live_leases(&self) -> usize {
        self.leases.values().filter(|l| l.expires_ms > self.now_ms()).count()
    }

    /// Carries a command out, as a proxy would.
    pub(crate) fn obey(&mut self, command: Command) -> Reply {
        let at_ms = self.now_ms() + 20;
        let key = (command.proxy.clone(), command.action.clone());
        let stamp = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let outcome = match &command.verb {
            Verb::Put(_) if self.refuses.is_some() => Outcome::Refused(self.refuses.clone().unwrap()),
            Verb::Put(request) => {
                let expires_ms = at_ms + request.lease_ms as i64;
                let receipt = Receipt {
                    id: ActionId::new(command.action.clone()).unwrap(),
                    applied_at: stamp(at_ms),
                    expires_at: stamp(expires_ms),
                    live_state_hash_before: "a".into(),
                    live_state_hash_after: "b".into(),
                };
                let row = LeaseRow { request: request.clone(), receipt: receipt.clone() };
                let service = request.service.to_string();
                let lease = Lease { kind: request.kind.clone(), service, row, expires_ms };
                self.leases.insert(key, lease);
                Outcome::Taken(receipt)
            }
            Verb::Renew(renew) => match self.leases.get_mut(&key) {
                Some(lease) => {
                    lease.expires_ms = at_ms + renew.lease_ms as i64;
                    Outcome::Taken(lease.row.receipt.clone())
                }
                None => Outcome::Refused(Refusal { status: 404, detail: "no such action".into() }),
            },
            Verb::Remove { .. } => {
                self.leases.remove(&key);
                Outcome::Removed
            }
        };
        Reply { command, at_ms, outcome }
    }
}
