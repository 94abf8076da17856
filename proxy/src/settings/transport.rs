//! `protocol`, `http2` and `tls` of a service, judged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::findings::{Findings, Place};
use super::identities;
use crate::config::{self, ProtocolName};
use crate::tls::{BadPair, MinVersion};
use crate::upstream::tls::{BadTrust, Origination, Parties, Trust};

/// What is spoken to a service's endpoints. Two that are equal may share connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transport {
    /// The HTTP version.
    pub protocol: Protocol,
    /// Bounds of HTTP/2.
    pub http2: StreamBounds,
    /// Absent: clear text.
    pub tls: Option<Arc<Origination>>,
}

/// The HTTP version of the way to an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge in clear text (h2c).
    Http2,
    /// What the endpoint prefers by ALPN; HTTP/1.1 in clear text.
    Auto,
}

/// Bounds of HTTP/2 connections to endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamBounds {
    /// Requests at once on one connection.
    pub max_concurrent_streams: u32,
    /// Bytes of one response that may wait.
    pub stream_window_bytes: u32,
    /// Between two PINGs; absent: none is sent.
    pub keepalive_interval: Option<Duration>,
}

impl Default for StreamBounds {
    fn default() -> Self {
        bounds(config::UpstreamHttp2::default())
    }
}

/// The transport of a service.
pub(super) fn transport(given: &config::Service, at: &Place, findings: &mut Findings) -> Arc<Transport> {
    let (http2, place) = (given.http2.unwrap_or_default(), at.at("http2"));
    findings.range(&place.at("max_concurrent_streams"), http2.max_concurrent_streams, 1..=1_024);
    findings.range(&place.at("stream_window_bytes"), http2.stream_window_bytes, 65_535..=16_777_216);
    if http2.keepalive_interval_ms > 0 {
        findings.duration(&place.at("keepalive_interval_ms"), http2.keepalive_interval_ms, 1);
    }
    let protocol = match given.protocol {
        ProtocolName::Http1 => Protocol::Http1,
        ProtocolName::Http2 => Protocol::Http2,
        ProtocolName::Auto => Protocol::Auto,
    };
    if given.http2.is_some() && protocol == Protocol::Http1 {
        findings.add(&place, "protocol is http1: there is no HTTP/2 to bound");
    }
    let tls = given.tls.as_ref().and_then(|tls| originate(tls, protocol, &at.at("tls"), findings));
    Arc::new(Transport { protocol, http2: bounds(http2), tls })
}

fn bounds(given: config::UpstreamHttp2) -> StreamBounds {
    let interval = Duration::from_millis(given.keepalive_interval_ms);
    StreamBounds {
        max_concurrent_streams: given.max_concurrent_streams,
        stream_window_bytes: given.stream_window_bytes,
        keepalive_interval: Some(interval).filter(|interval| !interval.is_zero()),
    }
}

/// TLS asked for must never end in clear text: what cannot be used is an error.
fn originate(
    given: &config::UpstreamTls,
    protocol: Protocol,
    at: &Place,
    findings: &mut Findings,
) -> Option<Arc<Origination>> {
    let least = match given.min_version {
        config::TlsVersion::V1_2 => MinVersion::Tls12,
        config::TlsVersion::V1_3 => MinVersion::Tls13,
    };
    let trust = match (&given.ca_path, given.verify) {
        (None, false) => Trust::Anyone,
        (None, true) => Trust::System,
        (Some(path), true) => Trust::File(Path::new(path)),
        (Some(_), false) => {
            findings.add(&at.at("ca_path"), "verify is false: nothing would be checked against it");
            return None;
        }
    };
    if given.crl_path.is_some() && !given.verify {
        findings.add(&at.at("crl_path"), "verify is false: nothing would be checked against it");
        return None;
    }
    let parties = parties(given, &trust, at, findings)?;
    match Origination::load(&trust, parties, least, protocol) {
        Ok(origination) => Some(Arc::new(origination)),
        Err(bad) => {
            let key = match &bad {
                BadTrust::Name(_) => "server_name",
                BadTrust::Certificates(_) => "ca_path",
                BadTrust::Lists(_) => "crl_path",
                BadTrust::Own(BadPair::Certificate(_)) => "certificate",
                BadTrust::Own(_) => "key",
            };
            findings.add(&at.at(key), bad.to_string());
            None
        }
    }
}

/// Whom the endpoint must be, and what is shown to it.
fn parties<'a>(
    given: &'a config::UpstreamTls,
    trust: &Trust<'_>,
    at: &Place,
    findings: &mut Findings,
) -> Option<Parties<'a>> {
    let expected = match &given.spiffe_id {
        Some(id) => vec![identities::principal(id, &at.at("spiffe_id"), findings)?],
        None => Vec::new(),
    };
    if !expected.is_empty() && !matches!(trust, Trust::File(_)) {
        let message =
            "give ca_path, and leave verify as it is: a mesh's identities have authorities of their own";
        findings.add(&at.at("spiffe_id"), message);
        return None;
    }
    let own = match (&given.certificate, &given.key) {
        (Some(certificate), Some(key)) => Some((Path::new(certificate), Path::new(key))),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            findings.add(at, "certificate and key come together");
            return None;
        }
    };
    let lists = given.crl_path.as_deref().map(Path::new);
    Some(Parties { name: given.server_name.as_deref(), expected, lists, own })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::settings::document::Given;
    use crate::settings::{Protocol, Settings};
    use protocol::document::{Document, Report};

    fn read(server: &str, service: &str, route: &str) -> Result<Settings, Report> {
        let text = format!(
            "server: {{ {server} }}
upstream: {{ services: {{ a: {{ endpoints: [ {{ address: b, port: 1 }} ], {service} }} }} }}
routes: [ {{ split: [ {{ service: a }} ], {route} }} ]
"
        );
        let given = Given { ai_enabled: false, ai_mode: None, host_name: "night".to_owned(), cores: 2 };
        Settings::from_document(&Document::parse("proxy.yaml", &text)?, &given)
    }

    #[test]
    fn a_service_is_spoken_to_in_clear_http1_unless_it_says_otherwise() {
        let transport = |service| {
            let settings = read("", service, "").unwrap();
            settings.services.values().next().unwrap().transport.clone()
        };
        let plain = transport("");
        assert_eq!((plain.protocol, plain.tls.is_some()), (Protocol::Http1, false));
        let other = transport("protocol: http2, http2: { keepalive_interval_ms: 0 }");
        assert_eq!((other.protocol, other.http2.keepalive_interval), (Protocol::Http2, None));
        assert!(transport("tls: { verify: false }").tls.is_some());
        assert_ne!(transport("tls: { verify: false }"), plain);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let missing = "tls: { ca_path: /nowhere/ca.pem }";
        for (server, service, route, expected) in [
            ("", "http2: { max_concurrent_streams: 5 }", "", "there is no HTTP/2 to bound"),
            ("", "protocol: http2, http2: { stream_window_bytes: 1 }", "", "out of range"),
            ("", "tls: { verify: false, ca_path: ca.pem }", "", "nothing would be checked against it"),
            ("", "tls: { verify: false, server_name: 'a b' }", "", "neither a host name nor an IP address"),
            ("", missing, "", "/nowhere/ca.pem cannot be read"),
            ("", "tls: { verify: false, crl_path: crl.pem }", "", "nothing would be checked against it"),
            ("", "tls: { crl_path: /nowhere/crl.pem }", "", "/nowhere/crl.pem cannot be read"),
            ("", "", "upgrades: [h2c]", "never by an upgrade"),
            ("", "", "upgrades: ['a b']", "is no protocol"),
            ("connect: { allow: [db.internal] }", "", "", "is no HOST:PORT"),
            ("connect: { allow: ['*:5432'] }", "", "", "is no HOST:PORT"),
        ] {
            let report = read(server, service, route).unwrap_err();
            let said = report.problems.iter().any(|problem| problem.message.contains(expected));
            assert!(said, "{expected}: {:?}", report.problems);
        }
    }
}
