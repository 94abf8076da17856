//! Who the client is: the peer, unless the peer is trusted to name another.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::own_fields::take_away;
use crate::identity::PeerIdentity;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Who asks, by its certificate.
const X_CLIENT_ID: HeaderName = HeaderName::from_static("x-lightsout-client-id");
/// The same, as Envoy says it.
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
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
    // What is no text is no address: it ends the search.
    let text = |line: &'_ HeaderValue| line.to_str().map(str::to_owned).unwrap_or_default();
    if headers.contains_key(X_FORWARDED_FOR) {
        let lines: SmallVec<[String; 2]> = headers.get_all(X_FORWARDED_FOR).iter().map(text).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(address_of);
        return first_untrusted(peer, hops, trusted);
    }
    let lines: SmallVec<[String; 2]> = headers.get_all(FORWARDED).iter().map(text).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(forwarded_for);
    first_untrusted(peer, hops, trusted)
}

/// The first of `hops`, from the right, that is not trusted; the last trusted one where what follows is no address.
fn first_untrusted(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = hop else { break };
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

/// An address, with a port perhaps.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

/// `for=` of one element of `Forwarded` (RFC 7239 section 4). Quoted commas are not looked for: they make it no
/// address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    named.next().is_none().then(|| address_of(value.trim_matches('"')))?
}

/// Takes away what a peer that is not trusted says of who forwarded what for whom. Before anything is decided, so that
/// routes, limits and authorizers believe it as little as endpoints do.
pub fn disbelieve(peer: IpAddr, headers: &mut HeaderMap, trusted: &[IpNet]) {
    if !is_trusted(peer.to_canonical(), trusted) {
        take_away(headers, is_told_by_proxies);
    }
}

/// Tells the endpoint whom it serves: `X-Forwarded-For` with the peer appended where the peer is
/// trusted, with the peer alone where not; `X-Forwarded-Proto` likewise, and `Forwarded` is carried on where it is.
/// What else the peer says of that is gone where it is not believed ([`disbelieve`]).
pub fn announce(peer: IpAddr, scheme: Scheme, headers: &mut HeaderMap, trusted: &[IpNet]) {
    let peer = peer.to_canonical();
    let believed = is_trusted(peer, trusted);
    if believed {
        carry_on(peer, scheme, headers);
    }
    let forwarded = if believed { appended(headers, peer) } else { None };
    let alone = || HeaderValue::from_bytes(&text_of(peer)).ok();
    if let Some(value) = forwarded.or_else(alone) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if !(believed && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    }
}

/// Tells the endpoint which workload asks, instead of whatever the request itself said of that.
pub fn name(peer: &PeerIdentity, headers: &mut HeaderMap) {
    headers.insert(X_CLIENT_ID, peer.header.clone());
    headers.insert(X_FORWARDED_CLIENT_CERT, peer.forwarded.clone());
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

/// Whether the field of this name says who forwarded what for whom.
#[must_use]
pub fn is_told_by_proxies(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "x-forwarded"
                | "forwarded"
                | "x-real-ip"
                | "x-original-url"
                | "x-rewrite-url"
                | "x-original-host"
        )
        || matches!(name, "x-client-ip" | "true-client-ip" | "x-cluster-client-ip" | "cf-connecting-ip")
        || matches!(name, "x-original-forwarded-for")
}

/// `Forwarded`, where there is one, with the peer; a chain with a gap would be believed as if it had none.
fn carry_on(peer: IpAddr, scheme: Scheme, headers: &mut HeaderMap) {
    if !headers.contains_key(FORWARDED) {
        return;
    }
    let mut value = Vec::new();
    for line in headers.get_all(FORWARDED) {
        value.extend_from_slice(line.as_bytes());
        value.extend_from_slice(b", ");
    }
    let own = match peer {
        IpAddr::V4(peer) => format!("for={peer};proto={}", scheme.as_str()),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\";proto={}", scheme.as_str()),
    };
    if value.len() > MAX_FORWARDED_BYTES {
        value.clear();
    }
    value.extend_from_slice(own.as_bytes());
    HeaderValue::try_from(value).ok().into_iter().for_each(|value| drop(headers.insert(FORWARDED, value)));
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
    fn what_strangers_say_of_who_forwarded_them_is_taken_away() {
        let said = ["x-forwarded-host", "x-forwarded-port", "forwarded", "x-real-ip", "x-original-url"];
        let lie =
            || said.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("for=6.6.6.6")));
        let mut headers: HeaderMap = lie().into_iter().collect();
        disbelieve("192.0.2.1".parse().unwrap(), &mut headers, &trusted());
        assert!(headers.is_empty(), "{headers:?}");
        let mut headers: HeaderMap = lie().into_iter().collect();
        disbelieve("10.0.0.1".parse().unwrap(), &mut headers, &trusted());
        assert_eq!(identify("10.0.0.1".parse().unwrap(), &headers, &trusted()).to_string(), "6.6.6.6");
        announce("10.0.0.1".parse().unwrap(), Scheme::Http, &mut headers, &trusted());
        assert_eq!(headers[FORWARDED], "for=6.6.6.6, for=10.0.0.1;proto=http");
        assert_eq!(headers["x-forwarded-host"], "for=6.6.6.6");
    }

    #[test]
    fn an_element_of_forwarded_names_an_address_or_nobody() {
        let named = |text| forwarded_for(text).map(|ip| ip.to_string());
        assert_eq!(named("For=\"[2001:db8::1]:4711\";proto=https").as_deref(), Some("2001:db8::1"));
        assert_eq!(named("proto=http; for=192.0.2.60").as_deref(), Some("192.0.2.60"));
        for nobody in ["", "for=_hidden", "for=unknown", "for=1.1.1.1;for=2.2.2.2", "by=1.1.1.1"] {
            assert_eq!(named(nobody), None, "{nobody}");
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
