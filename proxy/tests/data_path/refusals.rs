//! What no endpoint may see does not reach it.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::mesh::{Mesh, live, with_service, with_settings};
use super::origin;
use super::wire::{PATIENCE, get, over_http2, status, until_closed};

#[tokio::test]
async fn malformed_requests_are_answered_400_closed_and_never_forwarded() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let smuggled = "0\r\n\r\nGET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, body) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n", smuggled),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n", smuggled),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", smuggled),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n", smuggled),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n", smuggled),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", "xx"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n", ""),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n", "x"),
        ("GET / HTTP/1.1\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n", ""),
        ("GET * HTTP/1.1\r\nHost: a\r\n", ""),
        ("GET path HTTP/1.1\r\nHost: a\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n", ""),
        ("G@T / HTTP/1.1\r\nHost: a\r\n", ""),
        ("GET / HTTP/9.9\r\nHost: a\r\n", ""),
        ("nonsense\r\n", ""),
    ] {
        let answer = until_closed(mesh.address, format!("{head}\r\n{body}")).await;
        assert_eq!(status(&answer), 400, "{head} {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    assert_eq!(status(&until_closed(mesh.address, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await), 501);
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(20_000));
    assert_eq!(status(&until_closed(mesh.address, huge).await), 431);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn http2_requests_whose_host_and_authority_differ_are_refused() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let request = Request::get(format!("http://{}/", mesh.address)).header("host", "other");
    let (head, _) = over_http2(mesh.address, request.body(Full::default()).unwrap()).await;
    assert_eq!((head.status().as_u16(), origin.requests()), (400, 0));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let answer = timeout(Duration::from_secs(3), until_closed(mesh.address, "GET / HTTP/1.1\r\nHost:")).await;
    assert!(!answer.unwrap().contains("200"));
}

#[tokio::test]
async fn no_route_is_404_nothing_to_serve_503_and_a_blocked_client_403() {
    let origin = origin::start().await;
    let mut mesh = Mesh::start(live(&[origin.address]));
    mesh.change(|live| {
        with_settings(live, |s| {
            let mut route = (*s.routes[0]).clone();
            route.hosts = vec!["only.example".into()];
            s.routes = vec![route.into()];
        });
    });
    let answer = get(mesh.address, "/", "").await;
    assert_eq!(status(&answer), 404);
    assert!(answer.contains("x-request-id: ") && answer.contains("no route"), "{answer}");
    mesh.change(|live| {
        with_settings(live, |s| {
            let mut route = (*s.routes[0]).clone();
            (route.hosts, route.split[0].weight) = (Vec::new(), 0);
            s.routes = vec![route.into()];
        });
    });
    assert_eq!(status(&get(mesh.address, "/", "").await), 503);
    mesh.change(|live| live.blocks = vec!["127.0.0.1/32".parse().unwrap()]);
    assert_eq!(status(&get(mesh.address, "/", "").await), 403);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn shed_load_is_503_with_a_time_to_come_back() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_service(&mut live, |service| service.shed.fraction = 0.5);
    let mesh = Mesh::start(live);
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    let many = "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(9);
    stream.write_all(many.as_bytes()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.matches("503 Service Unavailable").count(), 5, "{answer}");
    assert_eq!(answer.matches("retry-after: 1").count(), 5);
    assert_eq!(origin.requests(), 5);
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_at_once() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |s| s.server.max_connections = 1);
    let mesh = Mesh::start(live);
    let mut first = TcpStream::connect(mesh.address).await.unwrap();
    first.write_all(b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    first.read_u8().await.unwrap();
    assert_eq!(until_closed(mesh.address, "").await, "");
    assert_eq!(mesh.counted().active_connections, 1);
}
