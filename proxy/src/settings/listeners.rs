//! `server` and `admin`, judged.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use super::findings::{Findings, Place};
use super::{Admin, Given, Server, identities};
use crate::config;
use crate::identity::client_auth::BadFiles;
use crate::tls::{BadPair, MinVersion, Termination};

/// The most worker threads.
const MAX_WORKERS: u32 = 256;

pub(super) fn server(config: &config::Server, given: &Given, at: &Place, findings: &mut Findings) -> Server {
    let request = ("request_timeout_ms", config.request_timeout_ms);
    let drain = ("drain_timeout_ms", config.drain_timeout_ms);
    let tls = config.tls.as_ref().and_then(|given| tls(given, &at.at("tls"), findings));
    if let Some(workers) = config.workers {
        findings.range(&at.at("workers"), workers, 1..=MAX_WORKERS);
    }
    findings.range(&at.at("max_connections"), config.max_connections, 1..=10_000_000);
    findings.range(&at.at("max_header_bytes"), config.max_header_bytes, 8_192..=1_048_576);
    findings.range(&at.at("max_idle_per_endpoint"), config.max_idle_per_endpoint, 0..=65_536);
    if let Some(connect) = &config.connect {
        targets(connect, &at.at("connect").at("allow"), findings);
    }
    let mut duration = |key: &str, ms: u64| findings.duration(&at.at(key), ms, 1);
    Server {
        tls,
        request_timeout: duration("request_timeout_ms", config.request_timeout_ms),
        idle_timeout: duration("idle_timeout_ms", config.idle_timeout_ms),
        connect: config.connect.as_ref().map_or_else(Vec::new, |given| given.allow.clone()),
        tunnel_idle_timeout: duration("tunnel_idle_timeout_ms", config.tunnel_idle_timeout_ms),
        header_timeout: duration("header_timeout_ms", config.header_timeout_ms),
        drain_timeout: duration("drain_timeout_ms", config.drain_timeout_ms),
        bind: address(&config.bind_address, config.port, at, findings),
        watch_files: config.watch_files,
        workers: config.workers.map_or_else(|| given.cores.clamp(1, MAX_WORKERS as usize), |n| n as usize),
        max_connections: config.max_connections as usize,
        connect_timeout: findings.part(
            &at.at("connection_timeout_ms"),
            config.connection_timeout_ms,
            5_000,
            request,
        ),
        max_header_bytes: config.max_header_bytes as usize,
        edge: super::edge::edge(config, at, findings),
        http2: super::edge::http2(&config.http2, &at.at("http2"), findings),
        overload: super::overload::overload(&config.overload, &at.at("overload"), findings),
        drain: drain_time(config, drain, at, findings),
        trusted_proxies: networks(&config.trusted_proxies, &at.at("trusted_proxies"), findings),
        max_idle_per_endpoint: config.max_idle_per_endpoint as usize,
    }
}

/// Each is a host and a port, so that none of them means more than it says.
fn targets(given: &config::Connect, at: &Place, findings: &mut Findings) {
    for (n, target) in given.allow.iter().enumerate() {
        let fits = target.rsplit_once(':').is_some_and(|(host, port)| {
            let is_port =
                port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
            is_port && super::routes::is_host(host)
        });
        if !fits {
            findings.add(&at.at(n), format!("{target:?} is no HOST:PORT"));
        }
    }
}

/// Unlike the other parts it may be 0: listeners that close at once.
fn drain_time(
    config: &config::Server,
    whole: (&str, u64),
    at: &Place,
    findings: &mut Findings,
) -> std::time::Duration {
    match config.drain_ms {
        Some(0) => std::time::Duration::ZERO,
        given => findings.part(&at.at("drain_ms"), given, 5_000, whole),
    }
}

pub(super) fn admin(config: &config::Admin, data_dir: &Path, at: &Place, findings: &mut Findings) -> Admin {
    let mut path = |key: &str, given: &Option<String>, extension: &str| match given {
        Some(path) => {
            non_empty(path, &at.at(key), findings);
            PathBuf::from(path)
        }
        None => data_dir.join(format!("proxy-{}.{extension}", config.port)),
    };
    let token_path = path("token_path", &config.token_path, "token");
    let viewer_token_path = config
        .viewer_token_path
        .as_ref()
        .map(|_| path("viewer_token_path", &config.viewer_token_path, "viewer"));
    let state_path = path("state_path", &config.state_path, "state.json");
    let hand_over_path = match &config.hand_over_path {
        Some(_) => path("hand_over_path", &config.hand_over_path, "sock"),
        None => state_path.with_file_name(format!("proxy-{}.sock", config.port)),
    };
    let bind = address(&config.bind_address, config.port, at, findings);
    for (n, name) in config.allowed_hosts.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
            let text = format!("{name:?} is no host name; leave port and scheme out");
            findings.add(&at.at("allowed_hosts").at(n), text);
        }
    }
    if viewer_token_path.as_ref() == Some(&token_path) {
        findings.add(&at.at("viewer_token_path"), "the token of token_path may do everything");
    }
    let asks = config.tls.as_ref().and_then(|tls| tls.client_auth.as_ref());
    let asks = asks.is_some_and(|asked| asked.mode != config::ClientAuthMode::Off);
    let mut workloads = |key: &str, given: &[String]| {
        if !given.is_empty() && !asks {
            findings.add(&at.at(key), "workloads are known by their certificates: say admin.tls.client_auth");
        }
        identities::principals(given, &at.at(key), findings)
    };
    let operators = workloads("operators", &config.operators);
    let viewers = workloads("viewers", &config.viewers);
    let secured = config.tls.as_ref().and_then(|given| tls(given, &at.at("tls"), findings));
    Admin {
        bind,
        token_path,
        viewer_token_path,
        open_reads: config.open_reads,
        tls: secured.map(|tls| Arc::new(Termination::clone(&tls).http1_only())),
        operators,
        viewers,
        state_path,
        hand_over_path,
        allowed_hosts: config.allowed_hosts.clone(),
    }
}

fn address(address: &str, port: u16, at: &Place, findings: &mut Findings) -> SocketAddr {
    let ip: IpAddr = address.parse().unwrap_or_else(|_| {
        findings.add(&at.at("bind_address"), format!("{address:?} is not an IP address"));
        Ipv4Addr::LOCALHOST.into()
    });
    SocketAddr::new(ip, port)
}

pub(super) fn non_empty(path: &str, at: &Place, findings: &mut Findings) {
    if path.trim().is_empty() {
        findings.add(at, "a path may not be empty");
    }
}

fn networks(given: &[String], at: &Place, findings: &mut Findings) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(given.len());
    for (n, text) in given.iter().enumerate() {
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match parsed {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => findings.add(&at.at(n), format!("{text:?} is no address and no network (10.0.0.0/8)")),
        }
    }
    networks
}

/// TLS asked for must never end in clear text served without a word: a pair that cannot be used is an error.
fn tls(given: &config::Tls, at: &Place, findings: &mut Findings) -> Option<Arc<Termination>> {
    let handshake = findings.duration(&at.at("handshake_timeout_ms"), given.handshake_timeout_ms, 1);
    let least = match given.min_version {
        config::TlsVersion::V1_2 => MinVersion::Tls12,
        config::TlsVersion::V1_3 => MinVersion::Tls13,
    };
    let clients = match &given.client_auth {
        Some(asked) => identities::client_auth(asked, &at.at("client_auth"), findings)?,
        None => None,
    };
    let (certificate, key) = (Path::new(&given.certificate), Path::new(&given.key));
    match Termination::load(certificate, key, least, handshake, clients) {
        Ok(termination) => Some(Arc::new(termination)),
        Err(bad) => {
            let place = match &bad {
                BadPair::Certificate(_) => at.at("certificate"),
                BadPair::Key(_) => at.at("key"),
                BadPair::Clients(BadFiles::Bundle(_)) => at.at("client_auth").at("ca_path"),
                BadPair::Clients(BadFiles::Lists(_)) => at.at("client_auth").at("crl_path"),
            };
            findings.add(&place, bad.to_string());
            None
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn mistakes(given: Value) -> String {
        let mut findings = Findings::default();
        admin(&serde_json::from_value(given).unwrap(), Path::new("data"), &Place::root(), &mut findings);
        findings.into_vec().into_iter().map(|finding| format!("{finding:?}\n")).collect()
    }

    #[test]
    fn roles_are_given_only_to_whom_the_admin_listener_can_know() {
        assert_eq!(mistakes(json!({"viewer_token_path": "v"})), "");
        assert!(mistakes(json!({"token_path": "t", "viewer_token_path": "t"})).contains("may do everything"));
        for key in ["operators", "viewers"] {
            let said = mistakes(json!({ key: ["spiffe://mesh.local/brain"] }));
            assert!(said.contains("known by their certificates") && said.contains(key), "{said}");
        }
    }
}
