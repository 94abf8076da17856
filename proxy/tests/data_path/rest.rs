//! Connections that are quiet between requests, and give their buffers back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::mesh::{Mesh, live, with_settings};
use crate::origin;
use crate::wire::PATIENCE;

/// Ticks come every 20 ms, so a connection rests after 40 ms at the latest.
async fn mesh_with_short_ticks() -> Mesh {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |s| {
        s.server.header_timeout = Duration::from_millis(80);
        s.server.request_timeout = Duration::from_secs(5);
    });
    Mesh::start(live)
}

async fn ask(stream: &mut TcpStream, head: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn a_connection_serves_on_after_each_rest() {
    let mesh = mesh_with_short_ticks().await;
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    for _ in 0..3 {
        let answer = ask(&mut stream, "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        sleep(Duration::from_millis(150)).await;
    }
    // A head that comes in pieces, the first of them while the connection rests.
    stream.write_all(b"G").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let answer = ask(&mut stream, "ET /status/204 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[tokio::test]
async fn a_head_that_stalls_after_a_rest_is_given_up() {
    let mesh = mesh_with_short_ticks().await;
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    ask(&mut stream, "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(150)).await;
    stream.write_all(b"G").await.unwrap();
    let mut rest = Vec::new();
    // Much sooner than the five seconds for which a connection may idle.
    timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_spoke_http1_cannot_go_on_in_http2() {
    let mesh = mesh_with_short_ticks().await;
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    ask(&mut stream, "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(150)).await;
    let mut answer = Vec::new();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
}

#[tokio::test]
async fn nothing_is_lost_to_a_client_that_reads_slowly() {
    let mesh = mesh_with_short_ticks().await;
    let stream = TcpStream::connect(mesh.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    const SIZE: usize = 8 << 20;
    let writing = tokio::spawn(async move {
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&vec![b'x'; SIZE]).await.unwrap();
        write
    });
    let (mut total, mut piece) = (0, vec![0; 256 * 1024]);
    while total < SIZE {
        let read = timeout(PATIENCE, read.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "the answer broke off after {total} bytes");
        total += read;
        sleep(Duration::from_millis(30)).await;
    }
    drop(writing.await.unwrap());
}
