//! A simulated mesh: services with endpoints, who calls whom, and a window a second from each proxy.

use protocol::telemetry::{CALLER_INTERNET, Window};

use crate::Dice;
use crate::cells::{self, Endpoint};
use crate::clients::Clients;
use crate::fault::{Fault, Kind};
use crate::regime::{Regime, Second, Weather};

/// When simulated time begins: a Monday at six, ms since the epoch.
pub const BEGIN_MS: i64 = 1_700_460_000_000;

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Who calls it.
    pub caller: &'static str,
    /// How many endpoints.
    pub endpoints: usize,
    /// Requests a second on a typical moment.
    pub rps: f64,
    /// Share of requests that fail of themselves.
    pub errors: f64,
    /// Median latency, µs.
    pub median_us: f64,
    /// Standard deviation of the log latency.
    pub sigma: f64,
}

/// The mesh, running.
#[derive(Debug)]
pub struct Mesh {
    services: Vec<Service>,
    weather: Vec<Weather>,
    clients: Clients,
    seq: u64,
    dice: Dice,
}

impl Mesh {
    /// Services in call order: a caller stands before what it calls.
    pub fn new(services: Vec<Service>, regime: Regime, mut dice: Dice) -> Self {
        let weather = services.iter().map(|_| Weather::new(regime, &mut dice)).collect();
        Self { services, weather, clients: Clients, seq: 0, dice }
    }

    /// The windows of the second `at_s`, one from each caller's proxy; none while there is a gap.
    pub fn second(&mut self, at_s: u64, faults: &[Fault]) -> Vec<Window> {
        self.seq += 1;
        let now: Vec<Second> = self.weather.iter_mut().map(|w| w.next(at_s, &mut self.dice)).collect();
        // What a callee fails, its caller fails too: from the leaves up.
        let mut inherited = vec![(0.0, 0.0); self.services.len()];
        for at in (0..self.services.len()).rev() {
            let (failing, slower_us) = self.trouble(at, at_s, faults, inherited[at]);
            let caller = self.services.iter().position(|s| s.name == self.services[at].caller);
            if let Some(caller) = caller {
                let share = (self.services[at].rps / self.services[caller].rps).min(1.0);
                inherited[caller].0 += failing * share;
                inherited[caller].1 += slower_us * share;
            }
        }
        let gap = faults.iter().any(|f| f.kind == Kind::Gap && f.holds(at_s));
        let windows = self.windows(at_s, faults, &now, &inherited);
        if gap { Vec::new() } else { windows }
    }

    /// What a service adds to its callers' failures (share) and latency (µs), on average over its endpoints.
    fn trouble(&self, at: usize, at_s: u64, faults: &[Fault], inherited: (f64, f64)) -> (f64, f64) {
        let service = &self.services[at];
        let endpoints = self.endpoints(service, at_s, faults, inherited);
        let n = endpoints.len() as f64;
        let failing = endpoints.iter().map(|e| e.added.max(e.refusing)).sum::<f64>() / n;
        let slower = endpoints.iter().map(|e| e.median_us - service.median_us).sum::<f64>() / n;
        (failing.max(0.0), slower.max(0.0))
    }

    fn endpoints(
        &self,
        service: &Service,
        at_s: u64,
        faults: &[Fault],
        inherited: (f64, f64),
    ) -> Vec<Endpoint> {
        let healthy = |index| Endpoint {
            address: address(service.name, index),
            version: "v1",
            errors: service.errors,
            added: inherited.0.min(1.0),
            timeouts: 0.0,
            refusing: 0.0,
            retried: 0.0,
            not_found: 0.01,
            median_us: service.median_us + inherited.1,
            sigma: service.sigma,
        };
        let mut endpoints: Vec<Endpoint> = (0..service.endpoints).map(healthy).collect();
        for fault in faults.iter().filter(|f| f.service == service.name && f.holds(at_s)) {
            cells::strike(&mut endpoints, &fault.kind);
        }
        endpoints
    }

    fn windows(
        &mut self,
        at_s: u64,
        faults: &[Fault],
        now: &[Second],
        inherited: &[(f64, f64)],
    ) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        for at in 0..self.services.len() {
            let service = self.services[at].clone();
            let endpoints = self.endpoints(&service, at_s, faults, inherited[at]);
            let (more, abuse) = self.extra(&service, at_s, faults);
            let people_rps = service.rps * now[at].rate * more;
            let extra_rps = abuse.map_or(0.0, |(n, rps)| n as f64 * rps);
            let load = cells::Load { people_rps, extra_rps, weather: now[at] };
            let cells = cells::cells(&service, &endpoints, load, &mut self.dice);
            let window = match windows.iter_mut().find(|w| w.proxy == proxy(service.caller)) {
                Some(window) => window,
                None => {
                    windows.push(window(proxy(service.caller), self.seq, at_s));
                    let last = windows.len() - 1;
                    &mut windows[last]
                }
            };
            if service.caller == CALLER_INTERNET {
                self.clients.fill(window, &cells, abuse, more, &mut self.dice);
            }
            window.cells.extend(cells);
        }
        windows
    }

    /// How much more people ask than usual, here or above, and who abuses this very service.
    fn extra(&self, service: &Service, at_s: u64, faults: &[Fault]) -> (f64, Option<(usize, f64)>) {
        let mut more = 1.0;
        let mut asked = Some(service);
        while let Some(of) = asked {
            for fault in faults.iter().filter(|f| f.service == of.name && f.holds(at_s)) {
                if let Kind::Crowd { factor, .. } = fault.kind {
                    more *= factor;
                }
            }
            asked = self.services.iter().find(|s| s.name == of.caller);
        }
        let own = faults.iter().filter(|f| f.service == service.name && f.holds(at_s));
        let mut abuse = own.filter_map(|f| match f.kind {
            Kind::Abuse { addresses, rps } => Some((addresses, rps)),
            _ => None,
        });
        (more, abuse.next())
    }
}

/// What `proxy` tells of one second, but for what it saw.
pub fn window(proxy: String, seq: u64, at_s: u64) -> Window {
    Window {
        proxy,
        boot: "b".to_owned(),
        seq,
        start_ms: BEGIN_MS + i64::try_from(at_s).unwrap_or(0) * 1_000,
        duration_ms: 1_000,
        config_hash: "c".to_owned(),
        cells: Vec::new(),
        clients: Vec::new(),
        clients_other: None,
    }
}

fn proxy(caller: &str) -> String {
    format!("{caller}-1")
}

/// `ADDRESS:PORT` of an endpoint.
pub fn address(service: &str, index: usize) -> String {
    let host = service.bytes().fold(7u32, |sum, b| (sum * 31 + u32::from(b)) % 250);
    format!("10.0.{host}.{}:8080", index + 1)
}
