//! A request's head as it is written, and how its body will end.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body::Body as _;

use crate::upstream::upload::Upload;

/// How a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// After so many more bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
}

/// Writes the head of `request` to `out`.
pub(super) fn compose(request: &Request<Upload>, out: &mut BytesMut) -> Ends {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let fields = request.headers();
    out.put_slice(request.method().as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    let mut said = None;
    for (name, value) in fields {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            said = said.max(Some(*name == TRANSFER_ENCODING));
            continue;
        }
        field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let ends = ends(request, said);
    // Said in one way alone, and in this proxy's own words.
    match ends {
        Ends::Chunked => field(out, b"transfer-encoding", b"chunked"),
        Ends::Length(0) if said.is_none() && !expects_body(request.method()) => {}
        // To memory, which takes all.
        Ends::Length(length) => _ = write!(out, "content-length: {length}\r\n"),
    }
    out.put_slice(b"\r\n");
    ends
}

/// `said`: whether the head names a coding; `None`: neither a coding nor a length.
fn ends(request: &Request<Upload>, said: Option<bool>) -> Ends {
    let body = request.body();
    let known = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    match (said, known) {
        (Some(true), _) | (_, None) => Ends::Chunked,
        (_, Some(length)) => Ends::Length(length),
    }
}

/// RFC 9110 section 8.6: these are told that there is none.
fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// Writes one field.
pub(super) fn field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}
