//! Requests that no endpoint may see: those that do not say clearly what they ask of whom.

use http::header::HOST;
use http::request::Parts;
use http::{Method, Uri, Version};

use crate::error::Refusal;
use crate::settings::Edge;

/// Whether the request may be forwarded at all.
///
/// # Errors
/// [`Refusal::BadRequest`] with the reason, [`Refusal::Method`] for `CONNECT`, or which bound is crossed.
/// `length` is the body's, where it is declared.
pub fn check(parts: &Parts, edge: &Edge, length: Option<u64>) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::Method);
    }
    check_bounds(parts, edge, length)?;
    check_names(parts, edge)?;
    check_target(parts)?;
    check_host(parts)
}

fn check_bounds(parts: &Parts, edge: &Edge, length: Option<u64>) -> Result<(), Refusal> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > edge.max_uri_bytes {
        return Err(Refusal::TargetTooLong);
    }
    if parts.headers.len() > edge.max_headers {
        return Err(Refusal::TooManyFields);
    }
    match length.zip(edge.max_body_bytes) {
        Some((length, most)) if length > most => Err(Refusal::BodyTooLarge),
        _ => Ok(()),
    }
}

/// `_` is how CGI and its heirs spell `-`: `X_Forwarded_For` would be believed as if it were the other.
fn check_names(parts: &Parts, edge: &Edge) -> Result<(), Refusal> {
    let two = parts.version == Version::HTTP_2;
    for (name, value) in &parts.headers {
        if !edge.allow_underscores && name.as_str().contains('_') {
            return Err(Refusal::BadRequest("an underscore in a header name"));
        }
        // RFC 9113 section 8.2.1; HTTP/1.1 has taken it off already.
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if two && (blank(value.as_bytes().first()) || blank(value.as_bytes().last())) {
            return Err(Refusal::BadRequest("a field value that begins or ends with a blank"));
        }
    }
    if two && parts.headers.get_all(http::header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Refusal::BadRequest("several Content-Length fields"));
    }
    Ok(())
}

/// The host that is asked for: the target's authority goes before the `Host` field. Empty where an
/// HTTP/1.0 request names none.
#[must_use]
pub fn host_of(parts: &Parts) -> &str {
    let field = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(http::uri::Authority::as_str).or_else(field).unwrap_or_default()
}

/// `host` without its port.
#[must_use]
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// The target as an endpoint is asked for it: path and query alone.
#[must_use]
pub fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

fn check_target(parts: &Parts) -> Result<(), Refusal> {
    let (uri, bad) = (&parts.uri, |why| Err(Refusal::BadRequest(why)));
    if uri.authority().is_some() && uri.scheme().is_none() {
        return bad("a request target without a path");
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return bad("a request target of another scheme");
    }
    if uri.path() == "*" && parts.method != Method::OPTIONS {
        return bad("the target * for another method than OPTIONS");
    }
    if uri.path().starts_with('/') || uri.path() == "*" { Ok(()) } else { bad("a path without a slash") }
}

fn check_host(parts: &Parts) -> Result<(), Refusal> {
    let (bad, mut hosts) = (|why| Err(Refusal::BadRequest(why)), parts.headers.get_all(HOST).iter());
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more {
        return bad("several Host fields");
    }
    let named = host.is_some() || (parts.version == Version::HTTP_2 && parts.uri.authority().is_some());
    if !named && parts.version >= Version::HTTP_11 {
        return bad("no Host field");
    }
    if host.is_some_and(|host| !is_authority(host.as_bytes())) {
        return bad("a Host field that is no host");
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if authority.is_some_and(|authority| !is_authority(authority.as_bytes())) {
        return bad("an authority that is no host");
    }
    let differ = |(field, authority): (&http::HeaderValue, &str)| {
        !field.as_bytes().eq_ignore_ascii_case(authority.as_bytes())
    };
    // HTTP/1.1 says which of the two counts (RFC 9112 section 3.2.2); HTTP/2 says they must agree.
    if parts.version == Version::HTTP_2 && host.zip(authority).is_some_and(differ) {
        return bad("Host and :authority differ");
    }
    Ok(())
}

/// A host, and a port where there is a colon; empty only as a whole (RFC 9112 section 3.2).
fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text.iter().rposition(|byte| *byte == b':') {
        Some(at) if !text.get(at..).unwrap_or_default().contains(&b']') => text.split_at(at),
        _ => (text, &b""[..]),
    };
    let port = port.strip_prefix(b":").unwrap_or_default();
    let is_port = port.is_empty() || std::str::from_utf8(port).is_ok_and(is_port);
    let is_name = match host.strip_prefix(b"[") {
        Some(address) => address.strip_suffix(b"]").is_some_and(|ip| ip.iter().all(is_address_byte)),
        None => !host.iter().any(|byte| b":[]".contains(byte)),
    };
    is_port && is_name && (!host.is_empty() || text.is_empty()) && host.iter().all(|byte| is_host_byte(*byte))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Of an IPv6 address, with a zone perhaps.
fn is_address_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.%-_~".contains(byte)
}

/// Characters of RFC 3986's `host [":" port]`; no user information.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, uri: &str, version: Version, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests_that_do_not_say_clearly_what_they_ask_of_whom_are_refused() {
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        for (method, uri, version, hosts) in [
            ("GET", "/", h1, &[][..]),
            ("GET", "/", h1, &["a", "b"]),
            ("GET", "/", h1, &["user@a"]),
            ("GET", "/", h1, &["a b"]),
            ("GET", "/", h1, &["a:b"]),
            ("GET", "/", h1, &["a:99999"]),
            ("GET", "/", h1, &["a:1:2"]),
            ("GET", "/", h1, &["[::1"]),
            ("GET", "/", h1, &[":80"]),
            ("GET", "http://a/", h1, &["user@b"]),
            ("GET", "*", h1, &["a"]),
            ("GET", "a:80", h1, &["a"]),
            ("GET", "ftp://a/", h1, &["a"]),
            ("GET", "http://u@a/", h1, &["a"]),
            ("GET", "http://a/", h2, &["b"]),
            ("CONNECT", "a:80", h1, &["a"]),
        ] {
            assert!(
                check(&parts(method, uri, version, hosts), &Edge::default(), None).is_err(),
                "{method} {uri} {hosts:?}"
            );
        }
    }

    #[test]
    fn all_forms_of_a_proper_target_are_taken() {
        for (method, uri, version, hosts) in [
            ("GET", "/a?b", Version::HTTP_11, &["[::1]:80"][..]),
            ("OPTIONS", "*", Version::HTTP_11, &["a"]),
            ("GET", "/", Version::HTTP_10, &[]),
            ("GET", "http://a/x", Version::HTTP_2, &[]),
            ("GET", "http://a/x", Version::HTTP_11, &["b"]),
        ] {
            assert!(
                check(&parts(method, uri, version, hosts), &Edge::default(), None).is_ok(),
                "{method} {uri} {hosts:?}"
            );
        }
        let absolute = parts("GET", "http://a:81/x?y", Version::HTTP_11, &["b"]);
        assert_eq!((host_of(&absolute), without_port(host_of(&absolute))), ("a:81", "a"));
        assert_eq!(origin_form(&absolute.uri), "/x?y");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
