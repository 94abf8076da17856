//! HTTP/2 to endpoints in clear text, with real peers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::{H2Manners, H2Peer, Origin, Proxy, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn proxy(dir: &Path, to: SocketAddr, more: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let port = to.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0, request_timeout_ms: 5000 }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ protocol: http2{more}, endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    Proxy::start(dir, &config).await
}

type Asked = (http::response::Parts, Bytes, Option<http::HeaderMap>);

/// Asks over HTTP/2.
async fn ask(proxy: &Proxy, request: Request<Full<Bytes>>) -> Result<Asked> {
    let io = TokioIo::new(TcpStream::connect(proxy.process.address("main")).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    Ok((head, body.to_bytes(), trailers))
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://shop.test{path}")).body(Full::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_clients_are_forwarded_as_http2_messages() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let proxy = proxy(dir.path(), origin.address, "").await?;
    let body = "x".repeat(300_000);
    let client = reqwest::Client::new();
    let request =
        client.post(format!("{}/echo?q=1", proxy.url)).header("host", "shop.test").body(body.clone());
    assert_eq!(request.header("te", "trailers").send().await?.text().await?, body);
    let head = origin.last_head().unwrap();
    assert_eq!(
        (head.version, head.uri.to_string()),
        (Version::HTTP_2, "http://shop.test/echo?q=1".to_owned())
    );
    for absent in ["host", "connection", "transfer-encoding", "keep-alive"] {
        assert!(!head.headers.contains_key(absent), "{absent}: {:?}", head.headers);
    }
    assert_eq!(
        (&head.headers["te"], &head.headers["x-forwarded-for"]),
        (&"trailers".parse()?, &"127.0.0.1".parse()?)
    );

    let request = Request::post("http://shop.test/echo").body(Full::from(body.clone()))?;
    assert_eq!(ask(&proxy, request).await?.1, body);
    let options = Request::options("http://shop.test/*").body(Full::default())?;
    assert_eq!(ask(&proxy, options).await?.0.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection_up_to_what_the_endpoint_takes_at_once() -> Result<()> {
    let manners = H2Manners { max_streams: 4, delay: Duration::from_millis(300), ..H2Manners::default() };
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(manners).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    assert_eq!(ask(&proxy, get("/")).await?.0.status, 200);
    let answers = join_all((0..4).map(|_| ask(&proxy, get("/")))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().0.status == 200));
    assert_eq!(peer.connections(), 1);
    let answers = join_all((0..12).map(|_| ask(&proxy, get("/")))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().0.status == 200));
    assert_eq!(peer.connections(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_requests_wait_for_one_connection_instead_of_opening_one_each() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(H2Manners::default()).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    let answers = join_all((0..50).map(|_| ask(&proxy, get("/")))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().0.status == 200));
    assert_eq!(peer.connections(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_is_opened_once_more_and_not_again() -> Result<()> {
    let manners = H2Manners { refuses: 1, ..H2Manners::default() };
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(manners).await?);
    let proxy_once = proxy(dir.path(), peer.address, "").await?;
    assert_eq!(ask(&proxy_once, get("/")).await?.0.status, 200);
    assert_eq!((peer.streams(), peer.connections()), (2, 1));

    let manners = H2Manners { refuses: u64::MAX, ..H2Manners::default() };
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(manners).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    assert_eq!(ask(&proxy, get("/")).await?.0.status, 502);
    assert_eq!(peer.streams(), 2);
    let upload = Request::put("http://a/").body(Full::from("x"))?;
    assert_eq!(ask(&proxy, upload).await?.0.status, 502);
    assert_eq!(peer.streams(), 3, "its body may be gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_go_away_lose_no_request() -> Result<()> {
    let manners = H2Manners { leaves_after: 3, delay: Duration::from_millis(5), ..H2Manners::default() };
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(manners).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    for round in 0..20 {
        let answers = join_all((0..5).map(|_| ask(&proxy, get("/")))).await;
        for answer in answers {
            assert_eq!(answer?.0.status, 200, "round {round}");
        }
    }
    assert!(peer.connections() >= 20, "{}", peer.connections());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_reach_clients_of_both_kinds() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(H2Manners::default()).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    let (_, body, trailers) = ask(&proxy, get("/")).await?;
    assert_eq!((body, &trailers.unwrap()["x-sum"]), (Bytes::from("ok"), &"1".parse()?));
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close, te\r\nte: trailers\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(
        answer.contains("transfer-encoding: chunked\r\n") && answer.contains("\r\n2\r\nok\r\n0\r\n"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_checked_in_the_services_own_protocol() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(H2Manners::default()).await?);
    let proxy = proxy(dir.path(), peer.address, ", health_check: { interval_ms: 100 }").await?;
    let healthy = async || {
        let endpoint = proxy.status().await?.services[0].endpoints[0].clone();
        Ok(serde_json::to_value(endpoint.health)? == "healthy")
    };
    eventually("the endpoint is healthy", Duration::from_secs(10), healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_waited_for_any_more_is_told_so_and_the_connection_goes_on() -> Result<()> {
    let manners = H2Manners { delay: Duration::from_secs(60), ..H2Manners::default() };
    let (dir, peer) = (tempfile::tempdir()?, H2Peer::start(manners).await?);
    let proxy = proxy(dir.path(), peer.address, "").await?;
    for n in 1..=3 {
        let gone = tokio::time::timeout(Duration::from_millis(300), ask(&proxy, get("/")));
        assert!(gone.await.is_err());
        let told = async || Ok(peer.cancelled() == n);
        eventually("the endpoint's stream is reset", Duration::from_secs(10), told).await?;
    }
    assert_eq!(peer.connections(), 1);
    Ok(())
}
