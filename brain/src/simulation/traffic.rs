//! What is asked of the mesh in a second, by whom, and how it goes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use protocol::action::ActionKind;
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{Cell, Client, MAX_CLIENTS};

use super::{Mesh, Spec};

/// Usual clients at the edge.
const USUAL_CLIENTS: usize = 40;

impl Mesh {
    /// Requests a second beyond the usual that are not blocked, and what each edge proxy sees of clients.
    pub(super) fn clients(&mut self, second: f64, usual: f64) -> (f64, Vec<Client>) {
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

    pub(super) fn cells(
        &mut self,
        index: usize,
        proxy: &str,
        second: f64,
        below: f64,
        grown: f64,
    ) -> (Vec<Cell>, f64) {
        let spec = self.specs[index].clone();
        let weights = self.weights(index, proxy);
        let total: f64 = weights.iter().sum();
        let harmed = if weights.contains(&0.0) { self.harm } else { 0.0 };
        let asked = spec.rps * grown * self.shed_above(index, proxy);
        let (mut cells, mut failing) = (Vec::new(), 0.0);
        for (endpoint, weight) in weights.iter().enumerate() {
            let share = weight / total.max(1e-9);
            let n = self.dice.poisson(asked / spec.proxies as f64 * share);
            let over = asked * share * spec.endpoints as f64 / spec.bears_rps;
            let (lost, late) = if over > 1.0 { ((1.0 - 1.0 / over) * 0.7, 8.0) } else { (0.0, 1.0) };
            let (error, factor) = self.trouble(&spec, endpoint, second);
            let base = self.base(&spec, index, endpoint);
            let well = (1.0 - base) * (1.0 - error) * (1.0 - below) * (1.0 - harmed) * (1.0 - lost);
            let cell = self.cell(&spec, index, endpoint, n, 1.0 - well, factor * late);
            failing += (1.0 - well) * share;
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
}
