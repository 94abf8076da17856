//! A response's head, and what it says of the body that follows (RFC 9112 section 6.3).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{ParserConfig, Status};
use smallvec::SmallVec;

use super::chunks::Chunks;
use super::fault::Fault;
use super::receiving::Framing;

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
    let says = |option: &[u8]| {
        let lines = headers.get_all(CONNECTION).iter();
        let mut options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option))
    };
    match version {
        Version::HTTP_10 => says(b"keep-alive"),
        _ => !says(b"close"),
    }
}
