//! Requests to go on in another protocol (RFC 9110 section 7.8), as WebSocket begins over HTTP/1.1.
//!
//! What is asked for is said again to the endpoint only where the route allows it, and the connection is a
//! tunnel only after the endpoint's 101 that names the same protocol: until then, and after any other
//! response, it is HTTP and read as such. `h2c` is never allowed: nobody would read its requests.

use http::header::{CONNECTION, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use super::headers::connection_says;

const WEBSOCKET: &str = "websocket";

/// The protocol that the request may ask for, if it asks for one alone and has no body.
#[must_use]
pub fn asked(request: &Parts, has_body: bool, allowed: &[String]) -> Option<HeaderValue> {
    // Nearly no request has the field.
    let mut protocols = request.headers.get_all(UPGRADE).iter();
    let (protocol, None) = (protocols.next()?, protocols.next()) else { return None };
    let may = |protocol: &str| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(protocol));
    let text = protocol.to_str().ok()?.trim();
    let begins = request.version == Version::HTTP_11 && !has_body && names_upgrade(&request.headers);
    // RFC 6455 section 4.1.
    let proper = !text.eq_ignore_ascii_case(WEBSOCKET) || request.method == Method::GET;
    (begins && proper && may(text)).then(|| protocol.clone())
}

/// Says, in this proxy's own name, what is to be switched to.
pub fn say(protocol: HeaderValue, headers: &mut HeaderMap) {
    headers.remove(TE);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Whether a 101 is the answer to what was asked.
#[must_use]
pub fn is_agreed(asked: &HeaderValue, response: &HeaderMap) -> bool {
    let mut protocols = response.get_all(UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return false };
    let (asked, protocol) = (asked.as_bytes().trim_ascii(), protocol.as_bytes().trim_ascii());
    asked.eq_ignore_ascii_case(protocol) && names_upgrade(response)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    connection_says(headers, b"upgrade")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::Request;

    fn request(method: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/").version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_is_allowed_may_be_asked_for_alone_and_without_a_body() {
        let allowed = ["websocket".to_owned(), "spdy/3".to_owned()];
        let (proper, connection) = (("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"));
        let asks = |method, version, body, fields: &[(&str, &str)]| {
            asked(&request(method, version, fields), body, &allowed).is_some()
        };
        let h1 = Version::HTTP_11;
        assert!(asks("GET", h1, false, &[proper, connection]));
        assert!(asks("POST", h1, false, &[("upgrade", "spdy/3"), connection]));
        assert!(!asks("POST", h1, false, &[proper, connection]));
        assert!(!asks("GET", h1, true, &[proper, connection]));
        assert!(!asks("GET", h1, false, &[proper]));
        assert!(!asks("GET", Version::HTTP_10, false, &[proper, connection]));
        for other in ["h2c", "websocket, h2c", ""] {
            assert!(!asks("GET", h1, false, &[("upgrade", other), connection]), "{other}");
        }
        assert!(!asks("GET", h1, false, &[proper, ("upgrade", "h2c"), connection]));
    }

    #[test]
    fn a_switch_to_something_else_is_not_agreed_on() {
        let says =
            |protocol| request("GET", Version::HTTP_11, &[("upgrade", protocol), ("connection", "upgrade")]);
        let asked = HeaderValue::from_static("websocket");
        assert!(is_agreed(&asked, &says("WebSocket").headers));
        assert!(!is_agreed(&asked, &says("h2c").headers));
        assert!(!is_agreed(&asked, &HeaderMap::from_iter([(UPGRADE, asked.clone())])));
    }
}
