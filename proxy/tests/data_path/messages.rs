//! Messages pass unchanged, except for what belongs to one hop.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::mesh::{Mesh, live, with_settings};
use super::origin::{self, PIECE};
use super::wire::{get, over_http2, status, until_closed};

const MEBIBYTE: usize = 1 << 20;

fn patterned() -> Bytes {
    (0..MEBIBYTE).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into()
}

async fn echoed(address: SocketAddr, body: Bytes) -> Bytes {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/echo").header("host", "shop").body(Full::new(body)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_mebibyte_streams_both_ways_over_either_protocol() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    assert_eq!(echoed(mesh.address, patterned()).await, patterned());
    let request = Request::post(format!("http://{}/echo", mesh.address));
    let (head, body) = over_http2(mesh.address, request.body(Full::new(patterned())).unwrap()).await;
    assert_eq!((head.version(), head.status().as_u16()), (Version::HTTP_2, 200));
    assert_eq!(body, patterned());
    let counted = mesh.counted();
    assert_eq!((counted.bytes_received, counted.bytes_sent), (2 * MEBIBYTE as u64, 2 * MEBIBYTE as u64));
}

#[tokio::test]
async fn chunked_uploads_arrive_whatever_the_method() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    for method in ["POST", "GET"] {
        let request = format!(
            "{method} /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let answer = until_closed(mesh.address, request).await;
        assert!(answer.contains("hello"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_origin() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let asked = origin.seen.pieces.load(Ordering::SeqCst);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(origin.seen.pieces.load(Ordering::SeqCst), asked);
    // What is not on the client's side stands in the kernel's buffers, not in the proxy.
    assert!(asked * PIECE < 24 * MEBIBYTE, "{asked} pieces");
    drop(stream);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(mesh.in_flight(), 0);
}

#[tokio::test]
async fn what_belongs_to_one_hop_is_not_passed_on_either_way() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let fields = "Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers, gzip\r\nUpgrade: websocket\r\nProxy-Authorization: Basic eA==\r\nX-Forwarded-For: 1.2.3.4\r\nAccept: */*\r\n";
    let answer = get(mesh.address, "/headers?q=1", fields).await;
    assert_eq!(status(&answer), 200, "{answer}");
    for gone in ["x-mine", "keep-alive", "websocket", "proxy-authorization", "gzip", "1.2.3.4", "x-internal"]
    {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
    let passed = "GET /headers?q=1 HTTP/1.1|host: shop|accept: */*|te: trailers|x-forwarded-for: 127.0.0.1|x-forwarded-proto: http|x-public: yes";
    for kept in passed.split('|') {
        assert!(answer.contains(kept), "{kept} not in {answer}");
    }
}

#[tokio::test]
async fn many_clients_at_once_are_all_served_and_all_counted_while_tables_are_swapped() {
    let origins = [origin::start().await, origin::start().await];
    let mut mesh = Mesh::start(live(&origins.each_ref().map(|o| o.address)));
    let address = mesh.address;
    let client = move || async move {
        let many = "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(39);
        let last = "GET /status/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        until_closed(address, many + last).await.matches("200 OK").count()
    };
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(client())).collect();
    for _ in 0..20 {
        mesh.change(|live| live.hash.push('x'));
        sleep(Duration::from_millis(10)).await;
    }
    for client in clients {
        assert_eq!(client.await.unwrap(), 40);
    }
    sleep(Duration::from_millis(50)).await;
    let counted = mesh.counted();
    assert_eq!((counted.requests, counted.failed, counted.active_connections), (2_000, 0, 0));
    assert_eq!(counted.backends.values().map(|backend| backend.requests).sum::<u64>(), 2_000);
    assert_eq!(mesh.in_flight(), 0);
}

#[tokio::test]
async fn an_http2_request_reaches_the_origin_as_http_1_1_with_its_host() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let request = Request::get(format!("http://{}/headers", mesh.address));
    let request = request.header("cookie", "a=1").header("cookie", "b=2");
    let (_, body) = over_http2(mesh.address, request.body(Full::default()).unwrap()).await;
    let seen = String::from_utf8_lossy(&body);
    let host = format!("host: {}", mesh.address);
    assert!(seen.starts_with("GET /headers HTTP/1.1\n") && seen.contains(&host), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\n"), "{seen}");
}

#[tokio::test]
async fn a_trusted_peer_names_the_client() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |s| s.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let mesh = Mesh::start(live);
    let answer = get(mesh.address, "/headers", "X-Forwarded-For: 203.0.113.9\r\n").await;
    assert!(answer.contains("x-forwarded-for: 203.0.113.9, 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn the_request_id_is_kept_or_made_and_shown_to_both_sides() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let kept = get(mesh.address, "/headers", "X-Request-ID: my-id\r\n").await;
    assert_eq!(kept.matches("x-request-id: my-id").count(), 2, "{kept}");
    let made = get(mesh.address, "/headers", &format!("X-Request-ID: {}\r\n", "x".repeat(300))).await;
    assert_eq!(made.matches("x-request-id: ").count(), 2, "{made}");
    assert!(!made.contains("xxx"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("200 OK") && answer.ends_with("body"), "{answer}");
}

#[tokio::test]
async fn an_absolute_target_is_asked_for_by_path_and_its_authority_wins() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let request = "GET http://real.example/headers HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n";
    let answer = until_closed(mesh.address, request).await;
    assert!(answer.contains("GET /headers HTTP/1.1") && answer.contains("host: real.example"), "{answer}");
}

#[tokio::test]
async fn connections_to_the_origin_are_used_again_and_http_1_0_is_served() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |s| s.server.max_idle_per_endpoint = 4);
    let mesh = Mesh::start(live);
    let many = "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    let last = "GET /status/204 HTTP/1.0\r\n\r\n";
    let answer = until_closed(mesh.address, many + last).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 20, "{answer}");
    assert_eq!(answer.matches("204 No Content").count(), 1, "{answer}");
    assert_eq!(origin.seen.connections.load(Ordering::SeqCst), 1);
}
