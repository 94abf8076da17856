//! A request sent over whatever connection there is, and sent again where that is no retry.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::EndpointPool;
use super::lent::{Lent, SendFailure, Stage};
use crate::overload::is_exhausted;
use crate::upstream::upload::Upload;

/// A response's head, and the connection that its body comes by.
pub type Answered = (Response<Incoming>, Lent);

impl EndpointPool {
    /// Sends over a connection that there is, else over a new one, to be made within `connect`.
    ///
    /// A request is sent once more over a new connection, which is no failure of the endpoint and no retry,
    /// where the first turns out to be closed or closing: if nothing was sent; if the endpoint says that it
    /// has not begun with it (HTTP/2) and there is no body; or if it broke a connection that
    /// had served before, and the request may be repeated (RFC 9110 section 9.2.2) and has no body. nginx and Envoy do
    /// so too.
    ///
    /// # Errors
    /// [`SendFailure`]: no response came.
    pub async fn send(
        self: &Rc<Self>,
        request: Box<Request<Upload>>,
        connect: Duration,
    ) -> Result<Answered, SendFailure> {
        let (mut first, request) = match self.take() {
            Some(there_is) => (there_is, request),
            None => self.reach(request, 0, connect).await?,
        };
        let copy = may_be_sent_again(&first, &request).then(|| Again::of(&request));
        let failure = match first.send(request).await {
            Ok(response) => return Ok((response, first)),
            Err(failure) => failure,
        };
        let unsent = failure.request.is_some() && (first.is_reused() || first.is_shared());
        let again = failure.request.filter(|_| unsent);
        let again = again.or_else(|| {
            copy.filter(|copy| repeats(&first, failure.stage, &copy.method))
                .map(|copy| Box::new(copy.request()))
        });
        let Some(again) = again else { return Err(SendFailure { request: None, ..failure }) };
        let after = first.failed();
        drop(first);
        let (mut second, request) = self.reach(again, after, connect).await?;
        let response = second.send(request).await?;
        Ok((response, second))
    }

    async fn reach(
        self: &Rc<Self>,
        request: Box<Request<Upload>>,
        after: u64,
        within: Duration,
    ) -> Result<(Lent, Box<Request<Upload>>), SendFailure> {
        let mut stage = Stage::Connecting;
        // On the heap: handshakes need much, and most requests find a connection.
        match timeout(within, Box::pin(self.connect(after))).await {
            Ok(Ok(connection)) => return Ok((connection, request)),
            Ok(Err(why)) if why.kind() == ErrorKind::QuotaExceeded => stage = Stage::Full,
            Ok(Err(why)) if is_exhausted(&why) => stage = Stage::Exhausted,
            Ok(Err(why)) => self.complain(&why.to_string()),
            Err(_) => self.complain("it took too long"),
        }
        Err(SendFailure { stage, request: Some(request) })
    }
}

/// Whether there can be a reason, so that the head is to be kept.
fn may_be_sent_again(connection: &Lent, request: &Request<Upload>) -> bool {
    let reason = connection.is_shared() || connection.is_reused() && is_idempotent(request.method());
    reason && request.body().is_end_stream()
}

fn repeats(connection: &Lent, stage: Stage, method: &Method) -> bool {
    match stage {
        Stage::Unprocessed => connection.is_shared(),
        Stage::Sent => connection.is_reused() && is_idempotent(method),
        Stage::Full | Stage::Exhausted | Stage::Connecting => false,
    }
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

/// What a request without a body is made of again. Kept for every request that may meet a closing connection and
/// needed for hardly any, so its fields are a list, which costs less than the map they come from.
struct Again {
    method: Method,
    uri: Uri,
    version: Version,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Again {
    fn of(request: &Request<Upload>) -> Self {
        let mut fields = Vec::with_capacity(request.headers().len());
        fields.extend(request.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Self { method, uri, version: request.version(), fields }
    }

    fn request(self) -> Request<Upload> {
        let mut request = Request::new(Upload::whole(bytes::Bytes::new()));
        (*request.method_mut(), *request.uri_mut()) = (self.method, self.uri);
        *request.version_mut() = self.version;
        self.fields.into_iter().for_each(|(name, value)| _ = request.headers_mut().append(name, value));
        request
    }
}
