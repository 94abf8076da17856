//! Bodies of any length in memory of one size, and bodies that are only sent when they are wanted.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::unistd::Pid;
use tests::{Proxy, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

const GIB: u64 = 1 << 30;
const PIECE: usize = 64 * 1_024;
/// What the proxy may take for one body, whatever its length, in kB: sockets' buffers are not its own.
const ROOM_KB: u64 = 16 * 1_024;
const SOON: Duration = Duration::from_secs(5);

async fn proxy(dir: &Path, port: u16, protocol: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0, max_body_bytes: 2147483648 }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ protocol: {protocol}, endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    Proxy::start(dir, &config).await
}

/// The most memory a process has had, kB.
fn peak_kb(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits until `moved` moves no more, because somebody does not read.
async fn held_up(moved: &AtomicU64) -> Result<u64> {
    let last = AtomicU64::new(u64::MAX);
    let still = async || {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = moved.load(Ordering::SeqCst);
        Ok(now > 0 && last.swap(now, Ordering::SeqCst) == now)
    };
    eventually("a sender is held up", Duration::from_secs(30), still).await?;
    Ok(moved.load(Ordering::SeqCst))
}

async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await??);
    }
    Ok(String::from_utf8(head)?)
}

async fn pour(stream: &mut TcpStream, bytes: u64, moved: &AtomicU64) -> Result<()> {
    let piece = vec![b'x'; PIECE];
    for _ in 0..bytes / PIECE as u64 {
        stream.write_all(&piece).await?;
        moved.fetch_add(PIECE as u64, Ordering::SeqCst);
    }
    Ok(())
}

async fn drain(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let (mut left, mut buffer) = (bytes, vec![0; 1 << 20]);
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left)?);
        let read = stream.read(&mut buffer[..most]).await?;
        anyhow::ensure!(read > 0, "{left} bytes are missing");
        left -= read as u64;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_either_way_over_http1_past_a_reader_that_waits() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (sent, taken, go_on) =
        (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<Notify>::default());
    let (sending, may_read) = (Arc::clone(&sent), Arc::clone(&go_on));
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        read_head(&mut stream).await?;
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n").as_bytes()).await?;
        pour(&mut stream, GIB, &sending).await?;
        read_head(&mut stream).await?;
        may_read.notified().await;
        drain(&mut stream, GIB).await?;
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await?;
        anyhow::Ok(())
    });
    let dir = tempfile::tempdir()?;
    let proxy = proxy(dir.path(), port, "http1").await?;
    let before = peak_kb(proxy.process.pid());
    let mut client = TcpStream::connect(proxy.process.address("main")).await?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    assert!(read_head(&mut client).await?.starts_with("HTTP/1.1 200 "));
    assert!(held_up(&sent).await? < 64 << 20, "the endpoint feels that the client does not read");
    drain(&mut client, GIB).await?;

    let head = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {GIB}\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    let sending = Arc::clone(&taken);
    let upload = tokio::spawn(async move {
        pour(&mut client, GIB, &sending).await?;
        read_head(&mut client).await
    });
    assert!(held_up(&taken).await? < 64 << 20, "the client feels that the endpoint does not read");
    go_on.notify_one();
    assert!(upload.await??.starts_with("HTTP/1.1 201 "));
    origin.await??;
    let grown = peak_kb(proxy.process.pid()) - before;
    assert!(grown < ROOM_KB, "{grown} kB");
    Ok(())
}

fn endless(bytes: u64, moved: Arc<AtomicU64>) -> UnsyncBoxBody<Bytes, Infallible> {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter((0..bytes / PIECE as u64).map(move |_| {
        moved.fetch_add(PIECE as u64, Ordering::SeqCst);
        Ok(Frame::data(piece.clone()))
    }));
    StreamBody::new(pieces).boxed_unsync()
}

async fn length(mut body: Incoming) -> Result<u64> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_of_that_goes_either_way_over_http2() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (sent, taken, go_on) =
        (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<Notify>::default());
    let (sending, may_read) = (Arc::clone(&sent), Arc::clone(&go_on));
    let bytes = GIB / 4;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request: Request<Incoming>| {
            let (sending, may_read) = (Arc::clone(&sending), Arc::clone(&may_read));
            async move {
                if request.method() == http::Method::GET {
                    return anyhow::Ok(Response::new(endless(bytes, sending)));
                }
                may_read.notified().await;
                let length = length(request.into_body()).await?;
                Ok(Response::builder().header("x-length", length).body(endless(0, sending))?)
            }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(stream), service).await?;
        anyhow::Ok(())
    });
    let dir = tempfile::tempdir()?;
    let proxy = proxy(dir.path(), port, "http2").await?;
    let before = peak_kb(proxy.process.pid());
    let io = TokioIo::new(TcpStream::connect(proxy.process.address("main")).await?);
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let request = Request::get("http://a/").body(endless(0, Arc::default()))?;
    let response = client.send_request(request).await?;
    assert!(held_up(&sent).await? < 64 << 20, "the endpoint feels that the client does not read");
    assert_eq!(length(response.into_body()).await?, bytes);

    let request = Request::put("http://a/").body(endless(bytes, Arc::clone(&taken)))?;
    let upload = tokio::spawn(client.send_request(request));
    assert!(held_up(&taken).await? < 64 << 20, "the client feels that the endpoint does not read");
    go_on.notify_one();
    assert_eq!(upload.await??.headers()["x-length"], bytes.to_string());
    let grown = peak_kb(proxy.process.pid()) - before;
    assert!(grown < ROOM_KB, "{grown} kB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_first_is_told_to_go_on_or_told_no() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, tests::Origin::start().await?);
    let proxy = proxy(dir.path(), origin.address.port(), "auto").await?;
    let ask = |length: u64| {
        format!("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut client = TcpStream::connect(proxy.process.address("main")).await?;
    client.write_all(ask(5).as_bytes()).await?;
    assert_eq!(read_head(&mut client).await?, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await?;
    assert!(read_head(&mut client).await?.starts_with("HTTP/1.1 200 "));
    let mut client = TcpStream::connect(proxy.process.address("main")).await?;
    client.write_all(ask(4 * GIB).as_bytes()).await?;
    assert!(read_head(&mut client).await?.starts_with("HTTP/1.1 413 "), "and nothing of it is read");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_are_not_mistaken_for_the_response() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        read_head(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            .await?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\nx-final: 1\r\n\r\n").await?;
        anyhow::Ok(())
    });
    let dir = tempfile::tempdir()?;
    let proxy = proxy(dir.path(), port, "http1").await?;
    let answer = reqwest::get(&proxy.url).await?;
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-final"]), (204, &"1".parse()?));
    assert!(!answer.headers().contains_key("link"));
    Ok(())
}
