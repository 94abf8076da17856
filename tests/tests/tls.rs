//! TLS on the main listener: real handshakes with a real proxy process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tests::{Behaviour, Origin, Proxy, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Writes a fresh self-signed pair for `localhost`; the certificate is what a client must trust.
fn new_pair(dir: &Path) -> Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(dir.join("cert.pem"), made.cert.pem())?;
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}

async fn proxy(dir: &Path, origin: &Origin, more: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let port = origin.address.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0,
  tls: {{ certificate: cert.pem, key: key.pem{more} }} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    Proxy::start(dir, &config).await
}

fn address(proxy: &Proxy) -> SocketAddr {
    proxy.process.address("main").parse().unwrap()
}

/// A client that trusts exactly `root` and offers these protocols and versions.
fn connector(
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn connect(proxy: &Proxy, root: &CertificateDer<'static>, alpn: &[u8]) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address(proxy)).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(connector(root, &[alpn], &[&version::TLS13, &version::TLS12])?.connect(name, stream).await?)
}

/// One request; the answer's status. `alpn` chooses the protocol.
async fn get(proxy: &Proxy, root: &CertificateDer<'static>, alpn: &[u8]) -> Result<u16> {
    let io = TokioIo::new(connect(proxy, root, alpn).await?);
    let request = http::Request::get("https://localhost/a").header("host", "localhost");
    let request = request.header("x-forwarded-proto", "http").body(Empty::<bytes::Bytes>::new())?;
    let response = if alpn == b"h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_agreed_on_and_the_endpoint_learns_that_it_was_https() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, "").await?;
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let stream = connect(&proxy, &root, alpn).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        assert_eq!(get(&proxy, &root, alpn).await?, 200);
        let head = origin.last_head().unwrap();
        assert_eq!(head.headers["x-forwarded-proto"], "https", "what the client says is not believed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_is_chosen_by_the_proxys_order_not_by_the_clients() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, "").await?;
    let theirs = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
    assert_eq!(theirs[0].suite(), CipherSuite::TLS13_AES_256_GCM_SHA384, "or this test shows nothing");
    let stream = connect(&proxy, &root, b"http/1.1").await?;
    let agreed = stream.get_ref().1.negotiated_cipher_suite().context("no suite")?;
    assert_eq!(agreed.suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_and_versions_that_are_too_old_are_not_served() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, ", min_version: '1.3'").await?;
    let name = ServerName::try_from("localhost")?;
    let stream = TcpStream::connect(address(&proxy)).await?;
    assert!(connector(&root, &[], &[&version::TLS12])?.connect(name, stream).await.is_err());
    let mut clear = TcpStream::connect(address(&proxy)).await?;
    clear.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut answer = Vec::new();
    let _reset_counts_too = timeout(Duration::from_secs(5), clear.read_to_end(&mut answer)).await?;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(origin.requests(), 0);
    assert_eq!(get(&proxy, &root, b"http/1.1").await?, 200);
    let url = format!("{}/metrics", proxy.admin);
    let counted = async || {
        let metrics = reqwest::get(&url).await?.text().await?;
        Ok(metrics.contains("proxy_tls_handshakes_total{result=\"failed\"} 2"))
    };
    eventually("both failed handshakes to be counted", Duration::from_secs(10), counted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_the_handshake_is_let_go_and_holds_up_nobody() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, ", handshake_timeout_ms: 400").await?;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address(&proxy)).await?);
    }
    let began = Instant::now();
    assert_eq!(get(&proxy, &root, b"h2").await?, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    for mut stream in silent {
        let mut byte = [0];
        assert_eq!(timeout(Duration::from_secs(5), stream.read(&mut byte)).await??, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_a_reload_and_a_bad_one_keeps_the_old() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let old = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, "").await?;
    let mut before = connect(&proxy, &old, b"http/1.1").await?;

    let new = new_pair(dir.path())?;
    proxy.ask("POST", "/reload", None).await?;
    assert_eq!(get(&proxy, &new, b"h2").await?, 200);
    assert!(get(&proxy, &old, b"h2").await.is_err(), "the old one is served no longer");

    // The connection of before goes on.
    before.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut answer = [0; 12];
    before.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");

    std::fs::write(dir.path().join("key.pem"), "not a key")?;
    let (status, problem) = proxy.ask("POST", "/reload", None).await?;
    assert_eq!(status, 422);
    ensure!(problem.to_string().contains("key.pem holds no private key"), "{problem}");
    assert_eq!(get(&proxy, &new, b"http/1.1").await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_without_being_asked() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let old = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, "").await?;
    assert_eq!(get(&proxy, &old, b"h2").await?, 200);
    let new = new_pair(dir.path())?;
    let taken = async || Ok(get(&proxy, &new, b"h2").await.is_ok());
    eventually("the new certificate is served", Duration::from_secs(10), taken).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_by_any_worker_and_over_a_reload() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let proxy = proxy(dir.path(), &origin, "").await?;
    let connector = connector(&root, &[b"http/1.1"], &[&version::TLS13])?;
    let kind = async || -> Result<Option<rustls::HandshakeKind>> {
        let stream = TcpStream::connect(address(&proxy)).await?;
        let mut stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
        // The ticket comes after the handshake: an answer has passed it.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(stream.get_ref().1.handshake_kind())
    };
    assert_eq!(kind().await?, Some(rustls::HandshakeKind::Full));
    for _ in 0..8 {
        assert_eq!(kind().await?, Some(rustls::HandshakeKind::Resumed));
    }
    let config = std::fs::read_to_string(dir.path().join("proxy.yaml"))?;
    std::fs::write(
        dir.path().join("proxy.yaml"),
        config.replace("port: 0, workers", "idle_timeout_ms: 50000, port: 0, workers"),
    )?;
    let (status, said) = proxy.ask("POST", "/reload", None).await?;
    assert_eq!(status, 200, "{said}");
    assert_eq!(kind().await?, Some(rustls::HandshakeKind::Resumed));
    Ok(())
}

/// A request on a connection of this protocol, and what becomes of both.
async fn underway(proxy: &Proxy, root: &CertificateDer<'static>, alpn: &'static [u8]) -> Result<Underway> {
    let io = TokioIo::new(connect(proxy, root, alpn).await?);
    let request = http::Request::get("https://localhost/slow").header("host", "localhost");
    let request = request.body(Empty::<bytes::Bytes>::new())?;
    Ok(tokio::spawn(async move {
        let (response, connection) = if alpn == b"h2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let connection = tokio::spawn(connection);
            (sender.send_request(request).await?, connection)
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection);
            (sender.send_request(request).await?, connection)
        };
        let (head, body) = response.into_parts();
        body.collect().await?;
        // The proxy ends the connection, and in good order.
        timeout(Duration::from_secs(5), connection).await???;
        Ok(head)
    }))
}

type Underway = tokio::task::JoinHandle<Result<http::response::Parts>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_what_is_on_its_way_in_both_protocols_and_closes_the_rest_in_good_order() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let root = new_pair(dir.path())?;
    let mut proxy = proxy(dir.path(), &origin, "").await?;
    let mut idle = connect(&proxy, &root, b"http/1.1").await?;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut head = [0; 12];
    idle.read_exact(&mut head).await?;
    let before = origin.requests();
    origin.behave(Behaviour { delay: Duration::from_millis(1_200), ..Behaviour::default() });
    let http1 = underway(&proxy, &root, b"http/1.1").await?;
    let http2 = underway(&proxy, &root, b"h2").await?;
    let begun = async || Ok(origin.requests() == before + 2);
    eventually("both requests are on their way", Duration::from_secs(5), begun).await?;
    proxy.process.signal(Signal::SIGTERM)?;
    // `close_notify`, not just an end: a client can tell it from a connection that was cut.
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await??;
    let (http1, http2) = (http1.await??, http2.await??);
    assert_eq!((http1.status.as_u16(), http2.status.as_u16()), (200, 200));
    assert_eq!(http1.headers["connection"], "close");
    assert_eq!(proxy.process.ended().await?.code(), Some(0));
    Ok(())
}
