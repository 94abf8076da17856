//! Who the client is: the peer, unless the peer is trusted to name another.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// An address as text, in place for IPv4.
type AddressText = SmallVec<[u8; 40]>;
/// Addresses in `X-Forwarded-For` that are looked at, from the right.
const MAX_HOPS: usize = 32;
/// The longest `X-Forwarded-For` that is passed on; a longer one is replaced.
const MAX_FORWARDED_BYTES: usize = 2_048;

/// The client's address: `peer`, or where `peer` is trusted, the rightmost address of
/// `X-Forwarded-For` that is not trusted itself. What is no address ends the search at the last
/// trusted hop: a name that cannot be checked is not believed.
#[must_use]
pub fn identify(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter();
    let hops = lines.rev().filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

/// What a client's connection came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it is written in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Tells the endpoint whom it serves: `X-Forwarded-For` with the peer appended where the peer is
/// trusted, with the peer alone where not; `X-Forwarded-Proto` likewise.
pub fn announce(peer: IpAddr, scheme: Scheme, headers: &mut HeaderMap, trusted: &[IpNet]) {
    let peer = peer.to_canonical();
    let believed = is_trusted(peer, trusted);
    let forwarded = if believed { appended(headers, peer) } else { None };
    let alone = || HeaderValue::from_bytes(&text_of(peer)).ok();
    if let Some(value) = forwarded.or_else(alone) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if !(believed && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    }
}

/// The scheme by which the client came: as a trusted peer says, else the connection's own.
#[must_use]
pub fn scheme(peer: IpAddr, own: Scheme, headers: &HeaderMap, trusted: &[IpNet]) -> Scheme {
    let believed = is_trusted(peer.to_canonical(), trusted);
    match headers.get(X_FORWARDED_PROTO).filter(|_| believed) {
        Some(proto) if proto.as_bytes().eq_ignore_ascii_case(b"https") => Scheme::Https,
        Some(_) => Scheme::Http,
        None => own,
    }
}

fn appended(headers: &HeaderMap, peer: IpAddr) -> Option<HeaderValue> {
    let mut value = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        value.extend_from_slice(line.to_str().ok()?.as_bytes());
        value.extend_from_slice(b", ");
    }
    if value.len() > MAX_FORWARDED_BYTES {
        return None;
    }
    value.extend_from_slice(&text_of(peer));
    HeaderValue::try_from(value).ok()
}

/// `address` as it is written. By hand for IPv4, as it is done for every request: the standard library's way
/// through its formatter takes five times as long.
fn text_of(address: IpAddr) -> AddressText {
    let mut text = AddressText::new();
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push(b'.');
                }
                push_decimal(&mut text, octet);
            }
        }
        IpAddr::V6(address) => text.extend_from_slice(address.to_string().as_bytes()),
    }
    text
}

fn push_decimal(text: &mut AddressText, number: u8) {
    let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
    if hundreds > 0 {
        text.push(b'0' + hundreds);
    }
    if number >= 10 {
        text.push(b'0' + tens);
    }
    text.push(b'0' + ones);
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn trusted() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap()]
    }

    fn forwarded(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (X_FORWARDED_FOR, HeaderValue::from_static(line))).collect()
    }

    fn client(peer: &str, lines: &[&'static str]) -> String {
        identify(peer.parse().unwrap(), &forwarded(lines), &trusted()).to_string()
    }

    #[test]
    fn only_a_trusted_peer_may_name_the_client() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn the_rightmost_untrusted_address_counts_whatever_the_client_wrote_before_it() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for address in ["0.0.0.0", "9.10.99.100", "255.199.200.1", "2001:db8::1", "::"] {
            assert_eq!(*text_of(address.parse().unwrap()), *address.as_bytes());
        }
    }

    #[test]
    fn the_endpoint_is_told_the_chain_only_by_those_who_are_trusted() {
        let mut headers = forwarded(&["203.0.113.9"]);
        announce("10.0.0.1".parse().unwrap(), Scheme::Http, &mut headers, &trusted());
        assert_eq!(headers[X_FORWARDED_FOR], "203.0.113.9, 10.0.0.1");
        announce("192.0.2.1".parse().unwrap(), Scheme::Https, &mut headers, &trusted());
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.1");
        assert_eq!(headers[X_FORWARDED_PROTO], "https");
    }
}
