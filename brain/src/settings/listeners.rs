//! Where the brain listens, and how that is secured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use trust::dialling::Parties;
use trust::identity::allowed::Principal;
use trust::identity::client_auth::{ClientAuthFiles, Demand};

use super::{Findings, MAX_PROXIES};
use crate::config::{self, Listener, TelemetryTls as TlsEntry};

/// One listening socket and its token.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The token's file, made where absent.
    pub token_path: PathBuf,
}

/// The files of the API's TLS.
#[derive(Debug, Clone)]
pub struct ApiTls {
    /// The chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who vouches for people's certificates; absent: none is asked for.
    pub clients: Option<ClientAuthFiles>,
}

/// The files of the telemetry listener's TLS.
#[derive(Debug, Clone)]
pub struct TelemetryTls {
    /// The brain's chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Which proxies may come, and who vouches for them.
    pub proxies: ClientAuthFiles,
}

impl TelemetryTls {
    /// The other way round: who may answer where proxies are asked.
    #[must_use]
    pub fn dialling(&self) -> Parties {
        Parties {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            bundle: self.proxies.bundle.clone(),
            expected: self.proxies.allowed.clone(),
        }
    }
}

pub(super) fn listener(
    key: &str,
    given: &Listener,
    port: u16,
    data_dir: &Path,
    findings: &mut Findings,
) -> ListenerSettings {
    let mut ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Some(text) = &given.bind_address {
        match text.parse() {
            Ok(parsed) => ip = parsed,
            Err(_) => findings.push((
                format!("/{key}/bind_address"),
                format!("{text:?} is not an IP address; 127.0.0.1 listens on this machine only"),
            )),
        }
    }
    let token_path = given.token_path.clone().unwrap_or_else(|| data_dir.join(format!("{key}.token")));
    ListenerSettings { address: SocketAddr::new(ip, given.port.unwrap_or(port)), token_path }
}

pub(super) fn telemetry_tls(given: TlsEntry, findings: &mut Findings) -> Option<TelemetryTls> {
    let mut allowed = Vec::with_capacity(given.allowed.len().min(MAX_PROXIES));
    if given.allowed.is_empty() || given.allowed.len() > MAX_PROXIES {
        let message = format!("say which proxies may come, 1 to {MAX_PROXIES} entries");
        findings.push(("/telemetry/tls/allowed".to_owned(), message));
        return None;
    }
    for (index, text) in given.allowed.iter().enumerate() {
        match Principal::parse(text) {
            Ok(one) => allowed.push(one),
            Err(why) => {
                findings.push((format!("/telemetry/tls/allowed/{index}"), format!("{text:?}: {why}")));
                return None;
            }
        }
    }
    let (bundle, lists) = (given.ca_path, given.crl_path);
    let proxies = ClientAuthFiles { demand: Demand::Strict, bundle, lists, allowed };
    Some(TelemetryTls { certificate: given.certificate, key: given.key, proxies })
}

/// Certificates of clients are looked at where they are shown; a name in `people` makes somebody of one.
pub(super) fn api_tls(given: config::ApiTls, findings: &mut Findings) -> ApiTls {
    if given.crl_path.is_some() && given.ca_path.is_none() {
        let message = "lists tell what authorities have revoked: say which authorities, in ca_path";
        findings.push(("/api/tls/crl_path".to_owned(), message.to_owned()));
    }
    let lists = given.crl_path;
    let clients = given.ca_path.map(|bundle| ClientAuthFiles {
        demand: Demand::Permissive,
        bundle,
        lists,
        allowed: Vec::new(),
    });
    ApiTls { certificate: given.certificate, key: given.key, clients }
}

pub(super) fn check_hosts(names: &[String], findings: &mut Findings) {
    for (index, name) in names.iter().enumerate() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("{name:?} is no host name; leave port and scheme out");
            findings.push((format!("/api/allowed_hosts/{index}"), message));
        }
    }
}
