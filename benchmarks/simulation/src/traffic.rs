//! What clients ask of the mesh, and how it fares: one window a proxy and second, from what the proxies
//! really do with their leases.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use fastrand::Rng;
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{CALLER_INTERNET, Cell, Client, ClientsOther, Window};

use crate::plan::{Plan, Trouble};
use crate::proxy::{ENDPOINTS, Proxy, SERVICES, endpoint, version};

/// Requests a second that a proxy usually gets for a service.
const USUAL_RPS: f64 = 60.0;
/// Usual clients of a proxy.
const CLIENTS: u8 = 20;

/// The address of a client that floods.
fn flooder(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, n * 7 + 1))
}

fn client(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, n))
}

/// The window that `proxy` closes at `now_ms` (true time since the start).
pub fn window(plan: &Plan, proxy: &mut Proxy, now_ms: i64, wall_ms: i64, rng: &mut Rng) -> Window {
    proxy.seq += 1;
    let live = proxy.view().table.live.clone();
    let blocked = |ip: &IpAddr| live.blocks.iter().any(|net| net.contains(ip));
    let now =
        |(span, trouble): &((i64, i64), Trouble)| (span.0..span.1).contains(&now_ms).then(|| trouble.clone());
    let troubles: Vec<Trouble> = plan.troubles.iter().filter_map(now).collect();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|n| seen(client(n), (USUAL_RPS / f64::from(CLIENTS)) as u64, blocked(&client(n))))
        .collect();
    let mut flood = 0.0;
    for trouble in &troubles {
        let Trouble::Flood { times, clients: many } = trouble else { continue };
        for n in 0..*many {
            let rps = USUAL_RPS * times / f64::from(*many);
            let out = blocked(&flooder(n));
            flood += if out { 0.0 } else { rps };
            clients.push(seen(flooder(n), rps as u64, out));
        }
    }
    let mut cells = Vec::new();
    for (s, name) in SERVICES.iter().enumerate() {
        let service = live.services.iter().find(|(n, _)| n.as_str() == *name).map(|(_, s)| s).unwrap();
        let weights: Vec<f64> = service
            .endpoints
            .iter()
            .map(|e| if e.is_withdrawn() { 0.0 } else { f64::from(e.weight) })
            .collect();
        let harmed = if weights.contains(&0.0) { plan.harm } else { 0.0 };
        let all: f64 = weights.iter().sum();
        let asked = (USUAL_RPS + if s == 0 { flood } else { 0.0 }) * (1.0 - service.shed.fraction);
        for (e, weight) in weights.iter().enumerate() {
            let mean = if all > 0.0 { asked * weight / all } else { 0.0 };
            let n = (mean + (rng.f64() - 0.5) * mean.sqrt()).round().max(0.0) as u64;
            let share = 1.0 - (1.0 - failing(&troubles, s, e)) * (1.0 - harmed) * 0.999;
            let crowded = asked > USUAL_RPS * 3.0;
            if n > 0 {
                cells.push(cell(name, s, e, n, share, if crowded { 8 } else { 1 }, rng));
            }
        }
    }
    clients.sort_by_key(|c| std::cmp::Reverse(c.requests));
    Window {
        proxy: proxy.name.clone(),
        boot: proxy.control.boot.clone(),
        seq: proxy.seq,
        start_ms: wall_ms + proxy.clock_off_ms - 1_000,
        duration_ms: 1_000,
        config_hash: String::new(),
        cells,
        clients,
        clients_other: Some(ClientsOther { requests: 5, distinct: 3 }),
    }
}

fn seen(ip: IpAddr, requests: u64, denied: bool) -> Client {
    let denied = if denied { requests } else { 0 };
    Client { ip, requests, status_4xx: 0, status_5xx: 0, denied, distinct_paths: 3 }
}

fn failing(troubles: &[Trouble], of: usize, at: usize) -> f64 {
    let share = |trouble: &Trouble| match trouble {
        Trouble::Endpoint { service, endpoint, share } if (*service, *endpoint) == (of, at) => *share,
        Trouble::Service { service, share } if *service == of => *share,
        _ => 0.0,
    };
    troubles.iter().map(share).fold(0.0, f64::max)
}

fn cell(name: &str, s: usize, e: usize, n: u64, share: f64, slow: u64, rng: &mut Rng) -> Cell {
    debug_assert!(e < ENDPOINTS);
    let failed = (0..n).filter(|_| rng.f64() < share).count() as u64;
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    for _ in 0..n {
        *buckets.entry(index_of(slow * rng.u64(3_000..9_000))).or_default() += 1;
    }
    let status = [("2xx", n - failed), ("5xx", failed)];
    Cell {
        service: name.to_owned(),
        version: version(e).to_owned(),
        endpoint: endpoint(s, e),
        route: "default".to_owned(),
        caller: CALLER_INTERNET.to_owned(),
        requests: n,
        status: status.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
        latency: Latency { buckets: buckets.into_iter().collect(), ..Latency::default() },
        in_flight_max: 1 + n * slow / 50,
        ..Cell::default()
    }
}
