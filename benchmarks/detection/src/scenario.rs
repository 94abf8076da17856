//! What is simulated: a mesh, its weather, what goes wrong and the truth about it.

use std::net::IpAddr;

use protocol::telemetry::CALLER_INTERNET;

use crate::clients::abuser;
use crate::fault::{Fault, Kind};
use crate::mesh::{Service, address};
use crate::regime::Regime;

/// Quiet seconds before the first fault: what a brain must have seen before it judges by the past.
pub const HISTORY_S: u64 = 3_700;
/// How long a fault of a measured delay lasts.
const FAULT_S: u64 = 180;

/// One run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The services, callers first.
    pub services: Vec<Service>,
    /// How restless.
    pub regime: Regime,
    /// Everything that goes wrong, harmless things included.
    pub faults: Vec<Fault>,
    /// What an operator would have to be told; absent: nothing.
    pub truth: Option<Truth>,
    /// How long it runs.
    pub seconds: u64,
}

/// The right diagnosis.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Since when, s.
    pub from_s: u64,
    /// Until when, s.
    pub until_s: u64,
    /// Causes that are right (CONTRACTS §4); the first is the best.
    pub kinds: &'static [&'static str],
    /// The culprit.
    pub service: &'static str,
    /// The culprit's endpoint.
    pub endpoint: Option<String>,
    /// The culprit's version.
    pub version: Option<&'static str>,
    /// The culprits' addresses.
    pub ips: Vec<IpAddr>,
}

/// One service of five endpoints, at `rps`.
pub fn single(rps: f64) -> Vec<Service> {
    vec![service("cart", "web", 5, rps, 0.005, 12_000.0)]
}

/// The edge and what stands behind it.
pub fn shop() -> Vec<Service> {
    vec![
        service("web", CALLER_INTERNET, 3, 200.0, 0.003, 30_000.0),
        service("cart", "web", 5, 120.0, 0.005, 12_000.0),
        service("catalog", "web", 3, 80.0, 0.002, 8_000.0),
        service("stock", "cart", 4, 60.0, 0.004, 4_000.0),
    ]
}

fn service(
    name: &'static str,
    caller: &'static str,
    endpoints: usize,
    rps: f64,
    errors: f64,
    median_us: f64,
) -> Service {
    Service { name, caller, endpoints, rps, errors, median_us, sigma: 0.5 }
}

/// One fault at `cart` alone, after enough history; the regime goes round with the seed.
pub fn one_fault(rps: f64, kind: Kind, seed: u64) -> Scenario {
    let from_s = HISTORY_S + seed % 60;
    let fault = Fault { from_s, until_s: from_s + FAULT_S, service: "cart", kind };
    let truth = Some(truth(&fault));
    let regime = Regime::ALL[(seed % 3) as usize];
    Scenario { services: single(rps), regime, seconds: from_s + FAULT_S, faults: vec![fault], truth }
}

/// One fault somewhere in the shop.
pub fn in_the_shop(service: &'static str, kind: Kind, seed: u64) -> Scenario {
    let from_s = HISTORY_S + seed % 60;
    let fault = Fault { from_s, until_s: from_s + FAULT_S, service, kind };
    let truth = Some(truth(&fault));
    let regime = Regime::ALL[(seed % 3) as usize];
    Scenario { services: shop(), regime, seconds: from_s + FAULT_S + 60, faults: vec![fault], truth }
}

/// The fault families of the suite, by name.
pub fn suite() -> Vec<(&'static str, &'static str, Kind)> {
    vec![
        ("endpoint refuses", "cart", Kind::EndpointDown { endpoint: 2 }),
        ("endpoint fails 20 %", "catalog", Kind::EndpointErrors { endpoint: 1, added: 0.20 }),
        ("endpoint 5x slower", "stock", Kind::EndpointSlow { endpoint: 3, factor: 5.0 }),
        ("new version fails 15 %", "cart", Kind::VersionErrors { first: 3, added: 0.15 }),
        ("service fails 20 %", "stock", Kind::ServiceErrors { added: 0.20 }),
        ("service 4x slower", "catalog", Kind::ServiceSlow { factor: 4.0 }),
        ("overload", "web", Kind::Crowd { factor: 5.0, hurts: true }),
        ("one abusive address", "web", Kind::Abuse { addresses: 1, rps: 400.0 }),
        ("20 abusive addresses", "web", Kind::Abuse { addresses: 20, rps: 25.0 }),
    ]
}

/// Several hundred addresses, each of which asks no more than a busy person.
pub fn botnet(seed: u64) -> Scenario {
    in_the_shop("web", Kind::Abuse { addresses: 200 + (seed % 4) as usize * 100, rps: 2.0 }, seed)
}

/// Quiet days: a deploy, a harmless crowd and a gap each day, and nothing to be told.
pub fn quiet(days: u64, seed: u64) -> Scenario {
    let at = |day: u64, hour: u64| day * 86_400 + hour * 3_600 + (seed * 977) % 1_800;
    let daily = |day: u64| {
        [
            Fault { from_s: at(day, 9), until_s: at(day, 21), service: "cart", kind: Kind::Deploy },
            Fault { from_s: at(day, 14), until_s: at(day, 14) + 600, service: "web", kind: crowd(3.0) },
            Fault { from_s: at(day, 19), until_s: at(day, 19) + 30, service: "web", kind: Kind::Gap },
        ]
    };
    let faults = (0..days).flat_map(daily).collect();
    let regime = Regime::ALL[(seed % 3) as usize];
    Scenario { services: shop(), regime, faults, truth: None, seconds: days * 86_400 }
}

/// A crowd of people that the service can take.
pub fn flash_crowd(seed: u64) -> Scenario {
    let from_s = HISTORY_S + seed % 60;
    let factor = 3.0 + (seed % 8) as f64;
    let fault = Fault { from_s, until_s: from_s + 300, service: "web", kind: crowd(factor) };
    let regime = Regime::ALL[(seed % 3) as usize];
    Scenario { services: shop(), regime, faults: vec![fault], truth: None, seconds: from_s + 360 }
}

fn crowd(factor: f64) -> Kind {
    Kind::Crowd { factor, hurts: false }
}

fn truth(fault: &Fault) -> Truth {
    let (kinds, endpoint, version, abusers): (&[&str], _, _, usize) = match &fault.kind {
        Kind::EndpointDown { endpoint }
        | Kind::EndpointErrors { endpoint, .. }
        | Kind::EndpointSlow { endpoint, .. } => (&["bad_endpoint"], Some(*endpoint), None, 0),
        Kind::VersionErrors { .. } => (&["bad_version"], None, Some("v2"), 0),
        Kind::Crowd { .. } => (&["overload"], None, None, 0),
        Kind::Abuse { addresses, .. } => (&["abusive_clients"], None, None, *addresses),
        Kind::Hidden { .. } => (&["unknown", "service"], None, None, 0),
        _ => (&["service"], None, None, 0),
    };
    Truth {
        from_s: fault.from_s,
        until_s: fault.until_s,
        kinds,
        service: fault.service,
        endpoint: endpoint.map(|index| address(fault.service, index)),
        version,
        ips: (0..abusers).map(abuser).collect(),
    }
}
