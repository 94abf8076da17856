//! A mesh on paper: seeded, without a clock, with proxies that honour leases. What the loop's tests
//! run against; absent from the binary.

mod dice;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use protocol::action::{ActionKind, LeaseRow, Receipt};
use protocol::id::{ActionId, EndpointId, Epoch, ProxyId, ServiceName};
use protocol::latency::{Latency, index_of};
use protocol::snapshot::{BreakerState, EndpointStatus, Health, ProxyStatus, ServiceStatus};
use protocol::telemetry::{Cell, Client, ClientsOther, MAX_CLIENTS, Window};

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
    /// The last so many endpoints run v2, the others v1.
    pub(crate) new: usize,
    /// Requests a second that it can serve; what is asked beyond makes it slow, and fails in part.
    pub(crate) bears_rps: f64,
    /// Proxies of each caller.
    pub(crate) proxies: usize,
}

/// More requests at the edge for a while, from as many more clients: a crowd, or a few.
#[derive(Debug, Clone)]
pub(crate) struct Surge {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) rps: f64,
    /// The addresses they come from; none: each request from another one.
    pub(crate) clients: Vec<&'static str>,
}

/// Usual clients at the edge.
const USUAL_CLIENTS: usize = 40;

impl Spec {
    pub(crate) fn new(name: &'static str, caller: &'static str, endpoints: usize, rps: f64) -> Self {
        Self {
            name,
            caller,
            endpoints,
            rps,
            base_error: 0.001,
            latency_us: 4_000.0,
            wild: 0.0,
            new: 0,
            bears_rps: f64::INFINITY,
            proxies: 1,
        }
    }

    fn version(&self, endpoint: usize) -> &'static str {
        if endpoint + self.new >= self.endpoints { "v2" } else { "v1" }
    }

    fn proxy(&self, n: usize) -> String {
        if n == 0 { format!("{}-proxy", self.caller) } else { format!("{}-proxy-{}", self.caller, n + 1) }
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

    /// Requests a second beyond the usual that are not blocked, and what each edge proxy sees of clients.
    fn clients(&mut self, second: f64, usual: f64) -> (f64, Vec<Client>) {
        let client = |ip: IpAddr, requests: f64, denied: bool| {
            let requests = requests.round() as u64;
            let denied = if denied { requests } else { 0 };
            Client { ip, requests, status_4xx: 0, status_5xx: 0, denied, distinct_paths: 3 }
        };
        let mut seen: Vec<Client> = (0..USUAL_CLIENTS)
            .map(|n| {
                let ip = IpAddr::from([198, 51, 100, n as u8]);
                client(ip, self.dice.poisson(usual / USUAL_CLIENTS as f64) as f64, self.is_blocked(ip))
            })
            .collect();
        let mut asked = 0.0;
        for surge in self.surges.iter().filter(|s| s.from_s <= second && second < s.to_s) {
            for text in &surge.clients {
                let ip: IpAddr = text.parse().unwrap();
                let (rps, blocked) = (surge.rps / surge.clients.len() as f64, self.is_blocked(ip));
                asked += if blocked { 0.0 } else { rps };
                seen.push(client(ip, rps, blocked));
            }
            asked += if surge.clients.is_empty() { surge.rps } else { 0.0 };
        }
        seen.sort_by_key(|c| std::cmp::Reverse(c.requests));
        seen.truncate(MAX_CLIENTS);
        (asked, seen)
    }

    fn is_blocked(&self, ip: IpAddr) -> bool {
        self.leases.values().any(|lease| match &lease.kind {
            ActionKind::BlockIps { cidrs } => cidrs.iter().any(|net| net.contains(&ip)),
            _ => false,
        })
    }

    fn cells(&mut self, index: usize, proxy: &str, second: f64, below: f64, grown: f64) -> (Vec<Cell>, f64) {
        let spec = self.specs[index].clone();
        let weights = self.weights(index, proxy);
        let total: f64 = weights.iter().sum();
        let harmed = if weights.contains(&0.0) { self.harm } else { 0.0 };
        let asked = spec.rps * grown * self.shed_above(index, proxy);
        let over = asked / spec.bears_rps;
        let (lost, late) = if over > 1.0 { ((1.0 - 1.0 / over) * 0.7, 8.0) } else { (0.0, 1.0) };
        let (mut cells, mut failing) = (Vec::new(), 0.0);
        for (endpoint, weight) in weights.iter().enumerate() {
            let n = self.dice.poisson(asked / spec.proxies as f64 * weight / total.max(1e-9));
            let (error, factor) = self.trouble(&spec, endpoint, second);
            let base = self.base(&spec, index, endpoint);
            let well = (1.0 - base) * (1.0 - error) * (1.0 - below) * (1.0 - harmed) * (1.0 - lost);
            let cell = self.cell(&spec, index, endpoint, n, 1.0 - well, factor * late);
            failing += (1.0 - well) * weight / total.max(1e-9);
            if n > 0 {
                cells.push(cell);
            }
        }
        // What callers see is drawn anew: they do not share a request's luck.
        (cells, failing)
    }

    /// The share of requests that this service's and its callers' sheds let through.
    fn shed_above(&self, index: usize, proxy: &str) -> f64 {
        let name = self.specs[index].name;
        let own = self.leases.iter().filter(|((p, _), l)| *p == proxy && l.service == name);
        let fraction = own.filter_map(|(_, lease)| match &lease.kind {
            ActionKind::ShedLoad { fraction, .. } => *fraction,
            _ => None,
        });
        let own = 1.0 - fraction.fold(0.0, f64::max);
        let above =
            if index == 0 { 1.0 } else { self.shed_above(index - 1, &self.specs[index - 1].proxy(0)) };
        own * above
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
            version: spec.version(endpoint).to_owned(),
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

    /// Weights of a service's endpoints at a proxy, leases applied: an ejection wins.
    /// By endpoint: where requests go, with leases and health checks applied.
    fn weights(&self, index: usize, proxy: &str) -> Vec<f64> {
        let name = self.specs[index].name.to_owned();
        let unhealthy = |e| self.health.get(&(name.clone(), e)) == Some(&Health::Unhealthy);
        let leased = self.leased(index, proxy).into_iter().enumerate();
        leased.map(|(e, (weight, out))| if out || unhealthy(e) { 0.0 } else { weight }).collect()
    }

    /// By endpoint: its weight with leases applied, and whether one keeps it out.
    fn leased(&self, index: usize, proxy: &str) -> Vec<(f64, bool)> {
        let spec = &self.specs[index];
        let leases = self.leases.iter().filter(|((p, _), l)| *p == proxy && l.service == spec.name);
        let leases: Vec<&Lease> = leases.map(|(_, lease)| lease).collect();
        (0..spec.endpoints)
            .map(|e| {
                let name = Self::endpoint(index, e);
                let mut weight = 1.0;
                for lease in &leases {
                    if let ActionKind::SetWeights { weights } = &lease.kind {
                        let version = weights.get(&format!("version:{}", spec.version(e)));
                        weight = weights.get(&name).or(version).map_or(weight, |w| f64::from(*w));
                    }
                }
                (weight, leases.iter().any(|l| l.kind.endpoint().is_some_and(|e| e.as_str() == name)))
            })
            .collect()
    }

    /// What the proxies tell of themselves.
    pub(crate) fn fleet(&self) -> BTreeMap<String, ProxyStatus> {
        let status = |proxy: String| {
            let own = |s: &Spec| (0..s.proxies).any(|n| s.proxy(n) == proxy);
            let services = self.specs.iter().enumerate().filter(|(_, s)| own(s));
            let services = services.map(|(index, _)| self.service_status(index, &proxy)).collect();
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
                promotions: BTreeMap::new(),
            };
            (proxy, status)
        };
        self.proxies().into_iter().map(status).collect()
    }

    fn service_status(&self, index: usize, proxy: &str) -> ServiceStatus {
        let spec = &self.specs[index];
        let leased = self.leased(index, proxy);
        let endpoints = (0..spec.endpoints).map(|e| EndpointStatus {
            endpoint: EndpointId::new(Self::endpoint(index, e)).unwrap(),
            version: spec.version(e).into(),
            health: self.health.get(&(spec.name.to_owned(), e)).copied().unwrap_or(Health::Unknown),
            weight_configured: 1,
            weight: leased[e].0 as u32,
            ejected: leased[e].1,
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

    /// The proxies that hold a live lease.
    pub(crate) fn holders(&self) -> std::collections::BTreeSet<String> {
        let live = self.leases.iter().filter(|(_, l)| l.expires_ms > self.now_ms());
        live.map(|((proxy, _), _)| proxy.clone()).collect()
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
        let refuses = self.refuses.is_some() && self.refuses_at.is_none_or(|at| at == command.proxy);
        let outcome = match &command.verb {
            Verb::Put(_) if refuses => Outcome::Refused(self.refuses.clone().unwrap()),
            Verb::Put(request) => {
                let expires_ms = at_ms + request.lease_ms as i64;
                let receipt = Receipt {
                    id: ActionId::new(command.action.clone()).unwrap(),
                    applied_at: stamp(at_ms),
                    expires_at: stamp(expires_ms),
                    live_state_hash_before: "a".into(),
                    live_state_hash_after: "b".into(),
                    answer: None,
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
