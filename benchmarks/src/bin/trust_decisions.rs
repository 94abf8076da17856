//! What it costs to find out whether a client may: a look-up of its address among 100,000 networks, and a decision by 100
//! policies of Cedar.
//!
//!     make bench-trust

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnet::IpNet;
use proxy::security::ip_lists::IpSet;

const NETWORKS: usize = 100_000;
const ASKED: usize = 1 << 16;
const RUNS: usize = 9;
const HEAD: &str = "# What it costs to find out whether a client may

Each asked alone on one core, nine times over: 65,536 addresses, 2,000 decisions. The least stands beside the median because a machine's
other work only ever adds. Networks are /28 and /48, spread evenly; every other address that asks is of one of them. Policies also look at path and
address. Made by `make bench-trust`.

| what | target | least | median |
|---|---|---|---|";

fn main() -> anyhow::Result<()> {
    println!("{HEAD}");
    let mut random = Random(7);
    let v4: Vec<IpAddr> = (0..NETWORKS).map(|_| random.v4().into()).collect();
    let strangers: Vec<IpAddr> = (0..ASKED / 2).map(|_| random.v4().into()).collect();
    network("an IPv4 address among 100,000 networks", &v4, 28, strangers)?;
    let v6: Vec<IpAddr> = (0..NETWORKS).map(|_| random.v6().into()).collect();
    let strangers: Vec<IpAddr> = (0..ASKED / 2).map(|_| random.v6().into()).collect();
    network("an IPv6 address among 100,000 networks", &v6, 48, strangers)?;
    policies::measure()
}

/// Every other one that asks is of one of the networks, in no order.
fn network(what: &str, listed: &[IpAddr], length: u8, strangers: Vec<IpAddr>) -> anyhow::Result<()> {
    let nets = listed.iter().map(|ip| IpNet::new(*ip, length)).collect::<Result<Vec<_>, _>>()?;
    let set = IpSet::new(nets.into_iter());
    let asked: Vec<IpAddr> =
        strangers.into_iter().zip(listed).flat_map(|(one, other)| [one, *other]).collect();
    print(what, "≤ 100 ns", || look_ups(&set, &asked));
    Ok(())
}

fn print(what: &str, target: &str, mut run: impl FnMut() -> f64) {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    runs.sort_by(f64::total_cmp);
    println!("| {what} | {target} | {} | {} |", ns(runs[0]), ns(runs[RUNS / 2]));
}

fn ns(ns: f64) -> String {
    if ns < 1_000.0 { format!("{ns:.0} ns") } else { format!("{:.1} µs", ns / 1_000.0) }
}

/// Nanoseconds a look-up.
fn look_ups(set: &IpSet, asked: &[IpAddr]) -> f64 {
    let began = Instant::now();
    black_box(asked.iter().filter(|ip| set.contains(**ip)).count());
    began.elapsed().as_nanos() as f64 / asked.len() as f64
}

/// Knuth's linear congruence (The Art of Computer Programming, volume 2, section 3.3.4): the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn v4(&mut self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.next() as u32)
    }

    /// Within 2000::/3, where addresses are given out.
    fn v6(&mut self) -> Ipv6Addr {
        let bits = u128::from(self.next()) << 80 | u128::from(self.next());
        Ipv6Addr::from_bits(bits & ((1 << 125) - 1) | 1 << 125)
    }
}

mod policies {
    use std::time::Instant;

    use anyhow::{Result, anyhow, ensure};
    use http::Method;
    use protocol::id::ServiceName;
    use proxy::security::authorization::cedar::Cedar;
    use proxy::security::authorization::{Engine, Question};

    const DECISIONS: u32 = 2_000;

    /// Of 100 policies 99 name a principal, as is advised, or look at every request's path and address.
    pub fn measure() -> Result<()> {
        for (what, target, scope) in
            [("each names a principal", "≤ 20 µs", true), ("none names one", "", false)]
        {
            let text: String = (0..99).map(|n| policy(n, scope)).collect();
            let files = [("mesh.cedar".to_owned(), text + "permit (principal, action, resource);")];
            let engine = Cedar::new(&files).map_err(|why| anyhow!("{why:?}"))?;
            let services = [ServiceName::new("cart")?];
            ensure!(engine.decide(&asked(&services)).allows(), "the last policy allows all");
            let name = format!("a decision by 100 Cedar policies, {what}");
            super::print(&name, target, || decisions(&engine, &services));
        }
        Ok(())
    }

    fn policy(n: usize, scope: bool) -> String {
        let principal =
            if scope { format!("principal == Client::\"idp:user-{n}\"") } else { "principal".to_owned() };
        format!(
            "@id(\"p{n}\") permit ({principal}, action in Action::\"read\", resource)
             when {{ context.path like \"/team-{n}/*\" && context.ip.isInRange(ip(\"10.0.0.0/8\")) }};\n"
        )
    }

    fn asked(services: &[ServiceName]) -> Question<'_> {
        let ip = std::net::Ipv4Addr::new(10, 0, 0, 1).into();
        let (method, path) = (&Method::GET, "/team-none/x");
        Question { principal: None, ip, method, path, host: "shop.test", route: "r", services }
    }

    /// Nanoseconds a decision.
    fn decisions(engine: &Cedar, services: &[ServiceName]) -> f64 {
        let began = Instant::now();
        for _ in 0..DECISIONS {
            std::hint::black_box(engine.decide(&asked(services)));
        }
        began.elapsed().as_nanos() as f64 / f64::from(DECISIONS)
    }
}
