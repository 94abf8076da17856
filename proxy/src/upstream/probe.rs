//! One question of an active check: asked over a connection of its own, as a client would come.

use std::io::{Error, Result};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use super::connector::{Connector, Speaks, Stream};

const OURSELVES: HeaderValue = HeaderValue::from_static("sidecar-proxy health check");

/// Whether the endpoint answers 2xx to `GET path`. To be dropped when it took too long: then all of it ends.
///
/// # Errors
/// There is no connection, or it breaks before an answer.
pub(super) async fn probe(connector: &Connector, path: &str) -> Result<bool> {
    let (stream, speaks) = connector.connect().await?;
    let host = connector.endpoint.id.as_str();
    let builder = Request::get(path).header(USER_AGENT, OURSELVES);
    let mut driving = JoinSet::new();
    let asked = match speaks {
        Speaks::Http1 => {
            let request = builder.header(HOST, host).body(Empty::new()).map_err(Error::other)?;
            http1(stream, request, &mut driving).await
        }
        Speaks::Http2 => {
            let target = format!("{}://{host}{path}", connector.scheme());
            let builder = builder.uri(target).version(Version::HTTP_2);
            http2(stream, builder.body(Empty::new()).map_err(Error::other)?, &mut driving).await
        }
    };
    Ok(asked.map_err(Error::other)?.status().is_success())
}

type Asked = std::result::Result<Response<Incoming>, hyper::Error>;

async fn http1(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    driving: &mut JoinSet<hyper::Result<()>>,
) -> Asked {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    driving.spawn(connection);
    sender.send_request(request).await
}

async fn http2(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    driving: &mut JoinSet<hyper::Result<()>>,
) -> Asked {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    driving.spawn(connection);
    sender.send_request(request).await
}
