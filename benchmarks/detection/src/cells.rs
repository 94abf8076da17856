//! One service's second, drawn: counts by outcome, and latencies into buckets.

use std::collections::BTreeMap;

use protocol::latency::{Latency, index_of};
use protocol::telemetry::Cell;
use rand_distr::{Binomial, Distribution, LogNormal, Poisson};

use crate::Dice;
use crate::fault::Kind;
use crate::mesh::Service;
use crate::regime::Second;

/// One endpoint's truth in one second.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `ADDRESS:PORT`.
    pub address: String,
    /// Its version.
    pub version: &'static str,
    /// Share of requests answered 5xx in typical weather.
    pub errors: f64,
    /// Share on top that a fault adds, whatever the weather.
    pub added: f64,
    /// Share of requests that time out.
    pub timeouts: f64,
    /// Share of connections refused.
    pub refusing: f64,
    /// Attempts that fail and are made again, a request.
    pub retried: f64,
    /// Share answered 4xx.
    pub not_found: f64,
    /// Median latency, µs.
    pub median_us: f64,
    /// Standard deviation of the log latency.
    pub sigma: f64,
}

/// What comes to a service in one second.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// People's requests.
    pub people_rps: f64,
    /// Abusers' requests.
    pub extra_rps: f64,
    /// The weather.
    pub weather: Second,
}

/// Applies one fault to a service's endpoints.
pub fn strike(endpoints: &mut [Endpoint], kind: &Kind) {
    let last = endpoints.len().saturating_sub(1);
    for (index, endpoint) in endpoints.iter_mut().enumerate() {
        match kind {
            Kind::EndpointDown { endpoint: at } if *at == index => endpoint.refusing = 1.0,
            Kind::EndpointErrors { endpoint: at, added } if *at == index => endpoint.added += added,
            Kind::EndpointSlow { endpoint: at, factor } if *at == index => endpoint.median_us *= factor,
            Kind::VersionErrors { first, added } if index >= *first => {
                endpoint.version = "v2";
                endpoint.added += added;
            }
            Kind::ServiceErrors { added } => endpoint.added += added,
            Kind::Hidden { share } => endpoint.retried += share,
            Kind::ServiceSlow { factor } => endpoint.median_us *= factor,
            Kind::Crowd { hurts: true, .. } | Kind::Abuse { .. } => {
                endpoint.median_us *= 4.0;
                endpoint.timeouts += 0.10;
            }
            Kind::Deploy if index == last => {
                endpoint.version = "v2";
                endpoint.median_us *= 1.08;
            }
            _ => {}
        }
        endpoint.added = endpoint.added.min(1.0);
    }
}

/// The cells of one service, one an endpoint; those without requests are left out.
pub fn cells(service: &Service, endpoints: &[Endpoint], load: Load, dice: &mut Dice) -> Vec<Cell> {
    let mean = (load.people_rps + load.extra_rps) / endpoints.len() as f64;
    // Abusers ask for what is not there.
    let abused = load.extra_rps / (load.people_rps + load.extra_rps).max(1e-9);
    let draw =
        |endpoint: &Endpoint, dice: &mut Dice| cell(service, endpoint, mean, abused, load.weather, dice);
    endpoints.iter().map(|e| draw(e, dice)).filter(|cell| cell.requests > 0).collect()
}

fn cell(service: &Service, at: &Endpoint, mean: f64, abused: f64, weather: Second, dice: &mut Dice) -> Cell {
    let requests = poisson(mean, dice);
    let mut left = requests;
    let mut take = |share: f64, dice: &mut Dice| {
        let n = binomial(left, share, dice);
        left -= n;
        n
    };
    let connect_failures = take(at.refusing, dice);
    let timeouts = take(at.timeouts, dice);
    let errors = take((at.errors * weather.errors + at.added).min(1.0), dice);
    let not_found = take(at.not_found + 0.9 * abused, dice);
    let retries = binomial(requests, at.retried, dice);
    let counts = [("2xx", left), ("4xx", not_found), ("5xx", errors)];
    let responses = requests - connect_failures - timeouts;
    let median_us = at.median_us * weather.latency;
    Cell {
        service: service.name.to_owned(),
        version: at.version.to_owned(),
        endpoint: at.address.clone(),
        route: "default".to_owned(),
        caller: service.caller.to_owned(),
        requests,
        status: counts.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
        timeouts,
        connect_failures,
        retries,
        latency: latency(responses, median_us, at.sigma, dice),
        bytes_in: requests * 100,
        bytes_out: responses * 900,
        // Little's law, and at least one.
        in_flight_max: 1 + (mean * median_us / 1e6 + at.timeouts * mean * 10.0) as u64,
        ..Cell::default()
    }
}

fn latency(responses: u64, median_us: f64, sigma: f64, dice: &mut Dice) -> Latency {
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    if let Ok(distribution) = LogNormal::new(median_us.ln(), sigma) {
        for _ in 0..responses {
            *buckets.entry(index_of(distribution.sample(dice) as u64)).or_default() += 1;
        }
    }
    Latency { buckets: buckets.into_iter().collect(), ..Latency::default() }
}

/// A Poisson count; 0 where nothing is to be expected.
pub fn poisson(mean: f64, dice: &mut Dice) -> u64 {
    Poisson::new(mean).map_or(0, |distribution| distribution.sample(dice) as u64)
}

fn binomial(n: u64, share: f64, dice: &mut Dice) -> u64 {
    Binomial::new(n, share.clamp(0.0, 1.0)).map_or(0, |distribution| distribution.sample(dice))
}
