//! A connection, and a request and the head of its response on it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::compose::compose;
use super::fault::Fault;
use super::head::{Head, parse};
use super::inbound::Inbound;
use super::reply::Reply;
use super::sending::Sending;
use crate::upstream::connector::Stream;
use crate::upstream::upload::Upload;

/// Interim responses (1xx) before the one that counts; they say nothing that is passed on.
const MAX_INTERIM: usize = 16;

/// A connection on which nothing is under way.
#[derive(Debug)]
pub struct Line {
    pub(super) io: Rc<RefCell<Stream>>,
    pub(super) inbound: Inbound,
    /// Empty: memory for the next head.
    pub(super) head: BytesMut,
}

/// No response came.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub why: Fault,
    /// Whether the endpoint may have got some of the request.
    pub begun: bool,
    /// The request, if it has no body and so is whole.
    pub request: Option<Box<Request<Upload>>>,
}

impl Line {
    /// On a new connection.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { io: Rc::new(RefCell::new(stream)), inbound: Inbound::new(), head: BytesMut::new() }
    }

    /// Whether nothing has come since the last response, not even its end. What comes unasked would be taken for
    /// the next one.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let (mut byte, mut cx) = ([0], Context::from_waker(Waker::noop()));
        let mut stream = self.io.borrow_mut();
        let polled = Pin::new(&mut *stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
        self.inbound.bytes.is_empty() && polled.is_pending()
    }

    /// Sends `request` and waits for the response's head. To be dropped when it takes too long: the connection is
    /// closed. Must run on a local task set.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn ask(mut self, mut request: Box<Request<Upload>>) -> Result<Response<Reply>, Unanswered> {
        let method = request.method().clone();
        let mut head = std::mem::take(&mut self.head);
        let ends = compose(&request, &mut head);
        let whole = request.body().is_end_stream();
        let upload = (!whole).then(|| std::mem::replace(request.body_mut(), Upload::whole(Bytes::new())));
        let mut way = Way { sending: Sending::new(head, upload, ends), is: Is::OnIt, interim: 0 };
        match poll_fn(|cx| way.poll(&mut self, &method, cx)).await {
            Ok(head) => Ok(self.answered(head, way)),
            Err(why) => {
                let request = whole.then_some(request);
                Err(Unanswered { why, begun: way.sending.has_begun(), request })
            }
        }
    }

    fn answered(mut self, head: Head, way: Way) -> Response<Reply> {
        let rest = match way.is {
            Is::Written => {
                self.head = way.sending.into_memory();
                None
            }
            Is::OnIt => Some(way.sending),
            // The endpoint has closed its ear, but spoken before.
            Is::Broken => None,
        };
        let keeps = head.keeps && way.is != Is::Broken;
        let mut response = Response::new(Reply::new(self, head.framing, keeps, rest));
        (*response.status_mut(), *response.version_mut()) = (head.status, head.version);
        *response.headers_mut() = head.headers;
        response
    }
}

/// A request under way.
struct Way {
    sending: Sending,
    is: Is,
    interim: usize,
}

/// How far its sending is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    OnIt,
    Written,
    Broken,
}

impl Way {
    fn poll(&mut self, line: &mut Line, method: &Method, cx: &mut Context<'_>) -> Poll<Result<Head, Fault>> {
        if self.is == Is::OnIt {
            match self.sending.poll(&line.io, cx) {
                Poll::Ready(Ok(())) => self.is = Is::Written,
                // An answer may have come before: an endpoint need not hear all to refuse it.
                Poll::Ready(Err(Fault::Broken(_))) if self.sending.has_begun() => self.is = Is::Broken,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(head) = self.head(line, method)? {
                return Poll::Ready(Ok(head));
            }
            if ready!(line.inbound.poll_fill(&line.io, cx))? == 0 {
                return Poll::Ready(Err(Fault::Cut));
            }
        }
    }

    /// The response's head, if it is there.
    fn head(&mut self, line: &mut Line, method: &Method) -> Result<Option<Head>, Fault> {
        while !line.inbound.bytes.is_empty() {
            match parse(&mut line.inbound.bytes, method)? {
                Some(head) if is_interim(head.status) => self.interim += 1,
                other => return Ok(other),
            }
            if self.interim > MAX_INTERIM {
                return Err(Fault::TooLong("line of interim responses"));
            }
        }
        Ok(None)
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
