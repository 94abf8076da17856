//! A response's head, and what it says of the body that follows (RFC 9112 section 6.3).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{ParserConfig, Status};
use smallvec::SmallVec;

use super::chunks::Chunks;
use super::fault::Fault;
use super::receiving::Framing;
use crate::middleware::headers::connection_says;

/// The largest head that is read.
const MAX_BYTES: usize = 256 * 1024;
/// Fields in it.
const MAX_FIELDS: usize = 100;

/// See the module.
#[derive(Debug)]
pub struct Head {
    /// Of the response.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// As they came.
    pub headers: HeaderMap,
    /// How its body ends.
    pub framing: Framing,
    /// Whether the connection goes on after it.
    pub keeps: bool,
}

/// A field's name and value, by where they are.
type Place = (Range<usize>, Range<usize>);

/// The head that `bytes` begin with, which is taken off them, as the answer to a request by `method`; `None`
/// where some of it is still to come.
///
/// # Errors
/// [`Fault`]: it is none, or too long.
pub fn parse(bytes: &mut BytesMut, method: &Method) -> Result<Option<Head>, Fault> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let Status::Complete(end) = config.parse_response_with_uninit_headers(&mut response, bytes, &mut room)?
    else {
        return if bytes.len() > MAX_BYTES { Err(Fault::TooLong("head")) } else { Ok(None) };
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Fault::Field("a status that is none"))?;
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let begin = bytes.as_ptr() as usize;
    let place = |part: &[u8]| {
        let at = (part.as_ptr() as usize).saturating_sub(begin);
        at..at + part.len()
    };
    let places: SmallVec<[Place; 32]> =
        response.headers.iter().map(|field| (place(field.name.as_bytes()), place(field.value))).collect();
    let headers = fields(&bytes.split_to(end).freeze(), &places)?;
    let framing = framing(method, status, version, &headers)?;
    let keeps = framing != Framing::UntilClose && keeps(version, &headers);
    Ok(Some(Head { status, version, headers, framing, keeps }))
}

/// Values share the memory they came in.
fn fields(head: &Bytes, places: &[Place]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::with_capacity(places.len());
    for (name, value) in places {
        let name = head.get(name.clone()).and_then(|name| HeaderName::from_bytes(name).ok());
        let name = name.ok_or(Fault::Field("a field without a name"))?;
        let value = HeaderValue::from_maybe_shared(head.slice(value.clone()));
        headers.append(name, value.map_err(|_| Fault::Field("a value that is none"))?);
    }
    Ok(headers)
}

fn framing(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
) -> Result<Framing, Fault> {
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if *method == Method::HEAD || status.is_informational() || none {
        return Ok(Framing::Nothing);
    }
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        // Whether it says so in one way alone is judged where the response is taken (`response_framing`).
        let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        return match version {
            // Section 6.1: HTTP/1.0 knows no transfer coding.
            Version::HTTP_10 => Err(Fault::Field("a transfer coding in HTTP/1.0")),
            _ if chunked => Ok(Framing::Chunked(Chunks::default())),
            _ => Ok(Framing::UntilClose),
        };
    }
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length_in(length).map(Framing::Length),
        None => Ok(Framing::UntilClose),
    }
}

fn length_in(value: &HeaderValue) -> Result<u64, Fault> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(Fault::Field("a length that is none"))
}

/// Section 9.3.
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    match version {
        Version::HTTP_10 => connection_says(headers, b"keep-alive"),
        _ => !connection_says(headers, b"close"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(method: Method, text: &str) -> Result<Option<Head>, Fault> {
        parse(&mut BytesMut::from(text), &method)
    }

    fn framing_of(text: &str) -> (Framing, bool) {
        let head = head(Method::GET, &format!("HTTP/1.{text}\r\n\r\n")).unwrap().unwrap();
        (head.framing, head.keeps)
    }

    #[test]
    fn a_head_is_taken_off_and_what_follows_is_left() {
        let mut bytes = BytesMut::from("HTTP/1.1 404 Not Found\r\nServer: x\r\nvia:  y \r\n\r\nbody");
        let head = parse(&mut bytes, &Method::GET).unwrap().unwrap();
        assert_eq!((head.status, head.version), (StatusCode::NOT_FOUND, Version::HTTP_11));
        assert_eq!(
            (&head.headers["server"], &head.headers["via"]),
            (&"x".parse().unwrap(), &"y".parse().unwrap())
        );
        assert_eq!(bytes, "body");
        assert!(parse(&mut BytesMut::from("HTTP/1.1 200 OK\r\nServer"), &Method::GET).unwrap().is_none());
    }

    #[test]
    fn where_a_body_ends_and_whether_the_connection_goes_on() {
        let length = "content-length: 5";
        assert_eq!(framing_of(&format!("1 200 OK\r\n{length}")), (Framing::Length(5), true));
        assert_eq!(
            framing_of(&format!("1 200 OK\r\n{length}\r\nconnection: x, Close")),
            (Framing::Length(5), false)
        );
        assert_eq!(framing_of(&format!("0 200 OK\r\n{length}")), (Framing::Length(5), false));
        assert_eq!(
            framing_of(&format!("0 200 OK\r\n{length}\r\nconnection: Keep-Alive")),
            (Framing::Length(5), true)
        );
        assert_eq!(framing_of("1 200 OK\r\nserver: x"), (Framing::UntilClose, false));
        let chunked = Framing::Chunked(Chunks::default());
        assert_eq!(framing_of("1 200 OK\r\ntransfer-encoding: chunked"), (chunked, true));
        for empty in [204, 304] {
            assert_eq!(framing_of(&format!("1 {empty} x\r\n{length}")), (Framing::Nothing, true));
        }
        let asked = head(Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").unwrap().unwrap();
        assert_eq!(asked.framing, Framing::Nothing);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nserver : x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \x01\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(head(Method::GET, text).is_err(), "{text:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(head(Method::GET, &many).is_err());
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_BYTES));
        assert!(head(Method::GET, &long).is_err());
    }
}
