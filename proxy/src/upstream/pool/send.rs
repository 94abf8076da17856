//! A request sent over whatever connection there is, and sent again where that is no retry.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::EndpointPool;
use super::lent::{Lent, SendFailure, Stage};
use crate::upstream::upload::Upload;

/// A response's head, and the connection that its body comes by.
pub type Answered = (Response<Incoming>, Lent);

impl EndpointPool {
    /// Sends over an idle connection if there is one, else over a new one, to be made within `connect`.
    ///
    /// If an idle one turns out to have been closed, the request is sent once more over a new one, which is
    /// no failure of the endpoint and no retry: where nothing was sent, and where the request may be repeated
    /// (RFC 9110 section 9.2.2) and has no body. nginx and Envoy do so too.
    ///
    /// # Errors
    /// [`SendFailure`]: no response came.
    pub async fn send(
        self: &Rc<Self>,
        mut request: Request<Upload>,
        connect: Duration,
    ) -> Result<Answered, SendFailure> {
        if let Some(mut connection) = self.take() {
            let again = repeatable(&request).then(|| copy(&request));
            match connection.send(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(failure) => match failure.request.or(again.map(Box::new)) {
                    Some(whole) => request = *whole,
                    None => return Err(SendFailure { request: None, ..failure }),
                },
            }
        }
        let connected = timeout(connect, self.connect()).await;
        let Ok(Ok(mut connection)) = connected else {
            return Err(SendFailure { stage: Stage::Connecting, request: Some(Box::new(request)) });
        };
        let response = connection.send(request).await?;
        Ok((response, connection))
    }
}

/// Whether doing it twice does what doing it once does, and all of it is in its head.
fn repeatable(request: &Request<Upload>) -> bool {
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    request.body().is_end_stream() && idempotent.contains(request.method())
}

/// The same request without a body.
fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::whole(bytes::Bytes::new()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy
}
