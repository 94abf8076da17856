//! Connections to an authorizer: each worker has its own, which stay open between questions.

use std::cell::RefCell;
use std::io::{Error, Result};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{External, Speaks};

/// The longest answer, body and trailers.
const MAX_ANSWER_BYTES: usize = 65_536;
/// Connections over HTTP/1.1 that are kept open.
const MAX_IDLE: usize = 16;

type Body = Full<Bytes>;

/// See the module.
#[derive(Debug)]
pub struct Line {
    /// Who is asked.
    pub to: Arc<External>,
    idle: RefCell<Vec<http1::SendRequest<Body>>>,
    open: RefCell<Option<http2::SendRequest<Body>>>,
}

impl Line {
    /// To `to`, nothing of it open yet.
    #[must_use]
    pub fn new(to: Arc<External>) -> Self {
        Self { to, idle: RefCell::default(), open: RefCell::default() }
    }

    /// The answer to `request`, whole.
    ///
    /// # Errors
    /// It is not to be had, or too long.
    pub async fn ask(&self, request: Request<Body>) -> Result<Response<Collected<Bytes>>> {
        match self.to.speaks {
            Speaks::Http => self.over_http1(request).await,
            Speaks::Grpc => self.over_http2(request).await,
        }
    }

    async fn over_http1(&self, request: Request<Body>) -> Result<Response<Collected<Bytes>>> {
        let kept = loop {
            let next = self.idle.borrow_mut().pop();
            match next {
                Some(sender) if !sender.is_ready() => {}
                other => break other,
            }
        };
        if let Some(mut sender) = kept {
            // Closed while it lay idle: that says nothing about who is there now.
            if let Ok(response) = sender.send_request(request.clone()).await {
                return self.end_http1(sender, response).await;
            }
        }
        let (stream, _) = self.to.remote.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::other)?;
        tokio::task::spawn_local(connection);
        let response = sender.send_request(request).await.map_err(Error::other)?;
        self.end_http1(sender, response).await
    }

    async fn end_http1(
        &self,
        sender: http1::SendRequest<Body>,
        response: Response<Incoming>,
    ) -> Result<Response<Collected<Bytes>>> {
        let whole = whole(response).await?;
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
        Ok(whole)
    }

    async fn over_http2(&self, request: Request<Body>) -> Result<Response<Collected<Bytes>>> {
        let kept = self.open.borrow().clone().filter(|sender| !sender.is_closed());
        if let Some(mut sender) = kept
            && let Ok(response) = sender.send_request(request.clone()).await
        {
            return whole(response).await;
        }
        let (stream, _) = self.to.remote.connect().await?;
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = made.map_err(Error::other)?;
        tokio::task::spawn_local(connection);
        *self.open.borrow_mut() = Some(sender.clone());
        whole(sender.send_request(request).await.map_err(Error::other)?).await
    }
}

async fn whole(response: Response<Incoming>) -> Result<Response<Collected<Bytes>>> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(Error::other)?;
    Ok(Response::from_parts(head, body))
}
