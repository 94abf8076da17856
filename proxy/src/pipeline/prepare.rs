//! What of a client's request is this proxy's own, and what goes on to the endpoint.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Version};
use http_body::Body;

use crate::connection::ClientConnection;
use crate::middleware::own_fields::OwnFields;
use crate::middleware::request_id::X_REQUEST_ID;
use crate::middleware::{client, grpc, headers, validity};
use crate::settings::{Edge, Server};
use crate::upstream::intake::Uploader;
use crate::upstream::upload::Upload;

/// On what terms a request's body is taken in.
pub(super) fn uploader(
    connection: &Rc<ClientConnection>,
    parts: &Parts,
    edge: &Edge,
    own_fields: &Arc<OwnFields>,
) -> Uploader {
    // gRPC's streams are conversations: their clients may be quiet.
    Uploader {
        connection: Rc::clone(connection),
        max_bytes: edge.max_body_bytes,
        paced: edge.min_body_rate > 0 && (parts.method != Method::POST || !grpc::is_grpc(&parts.headers)),
        own_fields: Arc::clone(own_fields),
    }
}

/// Makes the client's request this proxy's own.
pub(super) fn prepare(
    parts: &mut Parts,
    body: &Upload,
    connection: &ClientConnection,
    id: &HeaderValue,
    server: &Server,
) {
    if parts.uri.authority().is_some() {
        if let Ok(host) = HeaderValue::from_str(validity::host_of(parts)) {
            parts.headers.insert(HOST, host);
        }
        parts.uri = validity::origin_form(&parts.uri);
    }
    if parts.version == Version::HTTP_2 {
        headers::join_cookies(&mut parts.headers);
    }
    parts.version = Version::HTTP_11;
    headers::strip_request(&mut parts.headers);
    // The server side has answered `100-continue` itself when it reads the body.
    parts.headers.remove(EXPECT);
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    client::announce(connection.peer, connection.scheme, &mut parts.headers, &server.trusted_proxies);
    connection.peer_identity.iter().for_each(|peer| client::name(peer, &mut parts.headers));
    parts.headers.insert(X_REQUEST_ID, id.clone());
}
