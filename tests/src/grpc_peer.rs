//! A gRPC endpoint that talks: it says back what it is told, message by message, and fails when told to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::client::GrpcService;
use tonic::server::StreamingService;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The only method.
const CHAT: &str = "/test.Talk/Chat";

/// See the module. Told `fail N` it ends with the code N, `sleep N` it waits so many milliseconds, and
/// `deadline` it says the `grpc-timeout` that it was given. Of a call with the metadata `x-fail: N` it says
/// nothing but that code, and of one with `x-wait: N` nothing for so many milliseconds.
pub struct GrpcPeer {
    /// Where it listens.
    pub address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl GrpcPeer {
    /// Starts an endpoint on a free port: over TLS where there is a configuration, else in clear text.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, tls) = (listener.local_addr()?, tls.map(TlsAcceptor::from));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                tokio::spawn(async move {
                    let Some(tls) = tls else { return serve(stream).await };
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream).await;
                    }
                });
            }
        });
        Ok(Self { address, _serving: AbortOnDropHandle::new(serving) })
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(|request| async {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        Ok::<_, Infallible>(grpc.streaming(Talk, request).await)
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ended = server.serve_connection(TokioIo::new(stream), service).await;
}

struct Talk;

impl StreamingService<String> for Talk {
    type Response = String;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let said = |name: &str| request.metadata().get(name)?.to_str().ok().map(str::to_owned);
            if let Some(code) = said("x-fail").and_then(|code| code.parse().ok()) {
                return Err(Status::new(Code::from_i32(code), "told to fail"));
            }
            if let Some(ms) = said("x-wait").and_then(|ms| ms.parse().ok()) {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            let deadline = said("grpc-timeout").unwrap_or_default();
            let answers = request.into_inner().then(move |told| answer(told, deadline.clone()));
            Ok(Response::new(answers.boxed() as Self::ResponseStream))
        })
    }
}

async fn answer(told: Result<String, Status>, deadline: String) -> Result<String, Status> {
    let told = told?;
    match told.split_once(' ') {
        Some(("fail", code)) => Err(Status::new(Code::from_i32(code.parse().unwrap_or(2)), "told to fail")),
        Some(("sleep", ms)) => {
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap_or(0))).await;
            Ok(told)
        }
        _ if told == "deadline" => Ok(deadline),
        _ => Ok(told),
    }
}

/// Calls the endpoint's method with these messages.
///
/// # Errors
/// The status that the call ended with, where it ended before its first answer.
pub async fn chat<S>(
    channel: &tonic::transport::Channel,
    messages: Request<S>,
) -> Result<Response<Streaming<String>>, Status>
where
    S: Stream<Item = String> + Send + 'static,
{
    let mut channel = channel.clone();
    std::future::poll_fn(|cx: &mut Context<'_>| -> Poll<_> {
        GrpcService::<tonic::body::Body>::poll_ready(&mut channel, cx)
    })
    .await
    .map_err(|why| Status::unavailable(format!("{why:?}")))?;
    let mut client = tonic::client::Grpc::new(channel);
    let path = http::uri::PathAndQuery::from_static(CHAT);
    client.streaming(messages, path, ProstCodec::<String, String>::default()).await
}
