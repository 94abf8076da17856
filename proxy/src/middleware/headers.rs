//! Fields that belong to one connection only, by RFC 9110 section 7.6.1: never passed on.

use http::header::{CONNECTION, COOKIE, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::client;
use super::own_fields::take_away;

/// Fields that `Connection` may not take away from the endpoint: they say what the message is, or whose.
const NEVER_NAMED: [HeaderName; 12] = [
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::CONTENT_ENCODING,
    http::header::AUTHORIZATION,
    COOKIE,
    http::header::FORWARDED,
    http::header::ORIGIN,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-request-id"),
];

/// What trailers may not say: how the message is framed, routed, authenticated or read.
const NEVER_IN_TRAILERS: [&str; 17] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "trailer",
    "content-type",
    "content-encoding",
    "content-range",
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "expect",
    "x-request-id",
    "keep-alive",
];
/// Fields of the mesh itself: no stranger may set them, and none is told them.
const INTERNAL: &str = "x-lightsout-";

/// Whether the field of this name says in a head what trailers may not say.
#[must_use]
pub fn is_of_a_head(name: &str) -> bool {
    NEVER_IN_TRAILERS.contains(&name) || client::is_told_by_proxies(name)
}

/// Whether it is a field of the mesh itself.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with(INTERNAL)
}

/// Takes away the mesh's own fields.
pub fn strip_internal(headers: &mut HeaderMap) {
    take_away(headers, is_internal);
}

/// Takes away what belongs to the connection a message came by: the fields that `Connection`
/// names, and those that always do. `Trailer` stays, because trailers are passed on.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // One look at each name is all that most messages need: removing by name hashes for each that is not there.
    while let Some(name) = headers.keys().find(|name| is_of_one_hop(name)) {
        let name = name.clone();
        if name == CONNECTION {
            for named in named_by_connection(headers) {
                headers.remove(named);
            }
        }
        headers.remove(name);
    }
}

/// As [`strip_hop_by_hop`]; of `TE` only `trailers` is said again, in this proxy's own name.
pub fn strip_request(headers: &mut HeaderMap) {
    let says_te = headers.keys().any(|name| *name == TE);
    // Looked at before `Connection` takes it away, which has to name it.
    let trailers = says_te && headers.get_all(TE).iter().any(accepts_trailers);
    strip_hop_by_hop(headers);
    if says_te {
        headers.remove(TE);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// `close` is no field but may not be used as one either, because `Connection` gives it a meaning.
fn is_of_one_hop(name: &HeaderName) -> bool {
    // Lengths tell nearly all other fields apart.
    let name = name.as_str();
    match name.len() {
        5 => name == "close",
        7 => name == "upgrade",
        10 => name == "connection" || name == "keep-alive",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        18 => name == "proxy-authenticate",
        19 => name == "proxy-authorization",
        _ => false,
    }
}

/// HTTP/2 may send a cookie in crumbs; HTTP/1.1 knows one field only (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: SmallVec<[&[u8]; 8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    let joined = crumbs.join(&b"; "[..]);
    drop(crumbs);
    // Joining what are values makes a value.
    if let Ok(cookie) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, cookie);
    }
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    let codings = value.as_bytes().split(|b| *b == b',');
    codings.map(<[u8]>::trim_ascii).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

fn named_by_connection(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let names = names.map(<[u8]>::trim_ascii).filter(|name| !is_said_of_the_connection(name));
    let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.filter(|name| !NEVER_NAMED.contains(name)).collect()
}

/// Whether `Connection` names `option`, in any case (RFC 9110 section 7.6.1).
#[must_use]
pub fn connection_says(headers: &HeaderMap, option: &[u8]) -> bool {
    let lines = headers.get_all(CONNECTION).iter();
    let mut options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option))
}

/// What `Connection` nearly always says, which is gone without being looked for.
fn is_said_of_the_connection(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field =
            |(n, v): &(&'static str, &'static str)| (HeaderName::from_static(n), HeaderValue::from_static(v));
        fields.iter().map(field).collect()
    }

    #[test]
    fn fields_of_one_hop_and_those_that_connection_names_are_taken_away() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip, Trailers"),
            ("trailer", "x-sum"),
            ("accept", "*/*"),
        ]);
        strip_request(&mut map);
        assert_eq!(
            map,
            headers(&[("trailer", "x-sum"), ("accept", "*/*"), ("te", "trailers"), ("connection", "te")])
        );
    }

    #[test]
    fn trailers_are_accepted_also_where_connection_names_te() {
        let mut map = headers(&[("te", "trailers"), ("connection", "te, keep-alive"), ("close", "x")]);
        strip_request(&mut map);
        assert_eq!(map, headers(&[("te", "trailers"), ("connection", "te")]));
    }

    #[test]
    fn the_meshs_own_fields_are_taken_away() {
        let mut map = headers(&[("x-lightsout-a", "1"), ("x-lightsout-b", "2"), ("x-a", "3"), ("host", "a")]);
        strip_internal(&mut map);
        assert_eq!(map, headers(&[("x-a", "3"), ("host", "a")]));
    }

    #[test]
    fn the_crumbs_of_a_cookie_become_one_field() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("accept", "*/*")]);
        join_cookies(&mut map);
        assert_eq!(map, headers(&[("accept", "*/*"), ("cookie", "a=1; b=2")]));
    }

    #[test]
    fn connection_cannot_take_away_what_says_what_the_message_is() {
        let mut map =
            headers(&[("connection", "host, content-length"), ("host", "a"), ("content-length", "3")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("host", "a"), ("content-length", "3")]));
    }
}
