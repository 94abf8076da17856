//! The form that a request has in what its connection speaks; it may have been given another's before.

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use http_body::Body as _;

use crate::upstream::upload::Upload;

/// Gives a request that was to be sent by HTTP/2 the form it has in HTTP/1.1.
pub(super) fn http1(request: &mut Request<Upload>) {
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

/// Gives a request the form it has in HTTP/2: the host as `:authority`, and no field of a connection
/// (section 8.2.2); of `TE` nothing but `trailers` has been left.
pub(super) fn http2(request: &mut Request<Upload>, scheme: Scheme, endpoint: &str) {
    if request.version() == Version::HTTP_2 {
        return;
    }
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let named = host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // An empty `Host` names nobody, which HTTP/2 cannot say.
    let authority = named.or_else(|| Authority::try_from(endpoint).ok());
    let mut uri = http::uri::Parts::default();
    let target = request.uri().path_and_query().cloned();
    (uri.scheme, uri.authority) = (Some(scheme), authority);
    uri.path_and_query = Some(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // What the endpoint is asked has been looked at: it is a path, a host and a scheme.
    Uri::from_parts(uri).into_iter().for_each(|uri| *request.uri_mut() = uri);
    let trailers = request.headers().get(TE) == Some(&HeaderValue::from_static("trailers"));
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        request.headers_mut().remove(name);
    }
    if trailers {
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
}
