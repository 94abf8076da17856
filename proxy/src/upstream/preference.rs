//! What one request wants of the choice: its hash, the session it belongs to, and whom it has tried.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use http::request::Parts;
use smallvec::SmallVec;

use super::balancer::key_of;
use super::endpoint_view::EndpointView;
use crate::settings::KeySource;

/// See the module. The default wants nothing.
#[derive(Debug, Clone, Default)]
pub struct Preference {
    /// The hash of the request's key, where the group hashes and the request has one.
    pub key: Option<u64>,
    /// The endpoint's mark that a session's cookie carries.
    pub session: Option<u64>,
    /// Whether the client is known by a key of its own, so that it needs no cookie.
    pub known: bool,
    /// Endpoints that are asked only when there is nobody else: those that failed the request before.
    pub tried: SmallVec<[Rc<EndpointView>; 2]>,
}

impl Preference {
    /// Another endpoint, if there is one: for the next attempt after `endpoint` failed.
    pub fn not_again(&mut self, endpoint: &Rc<EndpointView>) {
        self.tried.push(Rc::clone(endpoint));
    }

    /// Whether the request has been there.
    #[must_use]
    pub fn has_tried(&self, endpoint: &EndpointView) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(&tried.handle.state, &endpoint.handle.state))
    }
}

/// The hash of what `source` names; `None` where the request does not have it.
#[must_use]
pub fn key(source: &KeySource, request: &Parts, client: IpAddr) -> Option<u64> {
    match source {
        KeySource::Header(name) => request.headers.get(name).map(|value| key_of(value.as_bytes())),
        KeySource::Cookie(name) => cookie(&request.headers, name).map(|value| key_of(value.as_bytes())),
        KeySource::Query(name) => query(request.uri.query()?, name).map(|value| key_of(value.as_bytes())),
        KeySource::Path => Some(key_of(request.uri.path().as_bytes())),
        KeySource::ClientIp => Some(match client {
            IpAddr::V4(ip) => key_of(&ip.octets()),
            // The same client by either family's form.
            IpAddr::V6(ip) => {
                ip.to_ipv4_mapped().map_or_else(|| key_of(&ip.octets()), |ip| key_of(&ip.octets()))
            }
        }),
    }
}

/// The value of the first cookie of this name, as it was sent.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all(COOKIE).into_iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderName, Request};

    #[test]
    fn a_key_is_what_its_source_names_and_absent_where_the_request_has_none() {
        let request = Request::get("/a/b?x=1&id=7&id=8")
            .header("x-user", "ada")
            .header("cookie", "a=1; sid=s3cret")
            .header("cookie", "b=2")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let ip = "192.0.2.1".parse().unwrap();
        let seen = |source| key(&source, &parts, ip);
        let of = |text: &str| Some(key_of(text.as_bytes()));
        assert_eq!(seen(KeySource::Header(HeaderName::from_static("x-user"))), of("ada"));
        assert_eq!(seen(KeySource::Header(HeaderName::from_static("x-none"))), None);
        assert_eq!(seen(KeySource::Cookie("sid".into())), of("s3cret"));
        assert_eq!(seen(KeySource::Cookie("b".into())), of("2"));
        assert_eq!(seen(KeySource::Cookie("id".into())), None);
        assert_eq!(seen(KeySource::Query("id".into())), of("7"));
        assert_eq!(seen(KeySource::Query("none".into())), None);
        assert_eq!(seen(KeySource::Path), of("/a/b"));
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(key(&KeySource::ClientIp, &parts, mapped), seen(KeySource::ClientIp));
    }
}
