//! Connections to endpoints that end when they are needed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tests::{Proxy, admin_token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// An endpoint that answers so many requests on each connection, and closes it at the next one's head.
struct Fickle {
    port: u16,
    requests: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Fickle {
    async fn start(answers: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, requests) = (listener.local_addr()?.port(), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers, Arc::clone(&seen)));
            }
        });
        Ok(Self { port, requests, _serving: AbortOnDropHandle::new(serving) })
    }
}

async fn answer(mut stream: TcpStream, answers: usize, seen: Arc<AtomicUsize>) -> Result<()> {
    for number in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        seen.fetch_add(1, Ordering::SeqCst);
        if number == answers {
            break;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    }
    Ok(())
}

/// One worker, so that the second request finds the first one's connection.
async fn proxy(dir: &std::path::Path, port: u16) -> Result<Proxy> {
    admin_token(dir)?;
    let mut config = "server: { bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0 }\n".to_owned();
    config.push_str("admin: { port: 0, token_path: mesh.token, state_path: proxy.state }\n");
    writeln!(
        config,
        "upstream: {{ services: {{ a: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}"
    )?;
    Proxy::start(dir, &config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_meets_a_closing_connection_is_sent_again_if_it_may_be_repeated() -> Result<()> {
    let (dir, endpoint) = (tempfile::tempdir()?, Fickle::start(1).await?);
    let proxy = proxy(dir.path(), endpoint.port).await?;
    assert_eq!(reqwest::get(&proxy.url).await?.status(), 200);
    assert_eq!(reqwest::get(&proxy.url).await?.status(), 200);
    assert_eq!(endpoint.requests.load(Ordering::SeqCst), 3, "the second was sent twice");
    // What may have been done is not done again.
    assert_eq!(reqwest::Client::new().post(&proxy.url).send().await?.status(), 502);
    assert_eq!(endpoint.requests.load(Ordering::SeqCst), 4);
    assert_eq!(reqwest::get(&proxy.url).await?.status(), 200);
    let upload = reqwest::Client::new().put(&proxy.url).body("x").send().await?;
    assert_eq!(upload.status(), 502, "its body is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_breaks_a_new_connection_has_failed() -> Result<()> {
    let (dir, endpoint) = (tempfile::tempdir()?, Fickle::start(0).await?);
    let proxy = proxy(dir.path(), endpoint.port).await?;
    assert_eq!(reqwest::get(&proxy.url).await?.status(), 502);
    assert_eq!(endpoint.requests.load(Ordering::SeqCst), 1);
    Ok(())
}
