//! Origins: one that answers by path, one that breaks connections, one that refuses them.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Bytes in one piece of `/endless`.
pub const PIECE: usize = 16 * 1024;

#[derive(Clone, Default)]
pub struct Seen {
    pub requests: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    /// Pieces of `/endless` that were asked for.
    pub pieces: Arc<AtomicUsize>,
}

pub struct Origin {
    pub address: SocketAddr,
    pub seen: Seen,
}

impl Origin {
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// Answers by path: `/echo`, `/headers`, `/never`, `/slow`, `/status/N`, `/endless`.
pub async fn start() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let shown = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shown.connections.fetch_add(1, Ordering::SeqCst);
            let seen = shown.clone();
            let service = service_fn(move |request| answer(seen.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Origin { address, seen }
}

/// Takes connections and closes each after its first bytes.
pub async fn breaking() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.readable().await.unwrap();
            drop(stream);
        }
    });
    address
}

/// Answers each connection's first request and then closes it without having said so.
pub async fn forgetful() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4_096];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    });
    address
}

/// An address at which nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

type Body = BoxBody<Bytes, hyper::Error>;

fn text(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

async fn answer(seen: Seen, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let mut response = Response::new(text(format!("{path}\n")));
    match path.as_str() {
        "/echo" => *response.body_mut() = request.into_body().boxed(),
        "/headers" => {
            *response.body_mut() = text(described(&request));
            let headers = response.headers_mut();
            headers.insert("connection", "x-internal".parse().unwrap());
            headers.insert("x-internal", "secret".parse().unwrap());
            headers.insert("keep-alive", "timeout=5".parse().unwrap());
            headers.insert("x-public", "yes".parse().unwrap());
        }
        "/never" => std::future::pending().await,
        "/slow" => tokio::time::sleep(Duration::from_millis(400)).await,
        "/endless" => *response.body_mut() = endless(seen),
        path => {
            if let Some(code) = path.strip_prefix("/status/") {
                *response.status_mut() = StatusCode::from_bytes(code.as_bytes()).unwrap();
            }
        }
    }
    Ok(response)
}

fn described(request: &Request<Incoming>) -> String {
    let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    text
}

fn endless(seen: Seen) -> Body {
    let pieces = stream::repeat_with(move || {
        seen.pieces.fetch_add(1, Ordering::SeqCst);
        Ok(Frame::data(Bytes::from_static(&[b'x'; PIECE])))
    });
    BodyExt::boxed(StreamBody::new(pieces))
}
