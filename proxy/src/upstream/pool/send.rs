//! A request sent over whatever connection there is, and sent again where that is no retry.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body as _;
use tokio::time::timeout;

use super::EndpointPool;
use super::download::Download;
use super::lent::{Lent, SendFailure, Stage};
use crate::overload::is_exhausted;
use crate::upstream::upload::Upload;

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
    ) -> Result<Response<Download>, SendFailure> {
        let (first, request) = match self.take() {
            Some(there_is) => (there_is, request),
            None => self.reach(request, 0, connect).await?,
        };
        let (reused, shared) = (first.reused, first.is_shared());
        let copy = (shared && request.body().is_end_stream()).then(|| Again::of(&request));
        let failure = match first.send(request).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let again = failure.request.or_else(|| copy.map(|copy| Box::new(copy.request())));
        let again = again.filter(|request| match failure.stage {
            Stage::Unprocessed => reused || shared,
            Stage::Sent => reused && is_idempotent(request.method()),
            Stage::Full | Stage::Exhausted | Stage::Connecting => false,
        });
        let Some(again) = again else { return Err(SendFailure { request: None, ..failure }) };
        let (second, request) = self.reach(again, failure.spent, connect).await?;
        second.send(request).await
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
        Err(SendFailure { stage, request: Some(request), spent: 0 })
    }
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

/// What a request without a body is made of again, where the library takes it. Kept for every such request and
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
