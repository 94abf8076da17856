//! HTTP/1.1 on a new connection.

use std::io::{Error, Result};

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Uri, Version};
use http_body::Body as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::upstream::connector::Stream;
use crate::upstream::upload::Upload;

/// The largest response head that is read.
const MAX_RESPONSE_HEAD_BYTES: usize = 256 * 1024;

/// Must run on a local task set, where the connection's own task is left.
pub(super) async fn handshake(stream: Stream) -> Result<SendRequest<Upload>> {
    let handshake = http1::Builder::new()
        .max_buf_size(MAX_RESPONSE_HEAD_BYTES)
        .handshake::<_, Upload>(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(Error::other)?;
    // Its end is seen by whoever sends on it; here it is only driven.
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(sender)
}

/// Gives a request that was to be sent by HTTP/2 the form it has in HTTP/1.1.
pub(super) fn speak(request: &mut Request<Upload>) {
    if request.version() != Version::HTTP_2 {
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    host.into_iter().for_each(|host| drop(request.headers_mut().insert(HOST, host)));
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    if request.headers().contains_key(TE) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
