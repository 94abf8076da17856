//! gRPC end to end: real calls by tonic to an endpoint made of tonic.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tests::{GrpcPeer, Proxy, admin_token, chat, eventually};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

fn certified(dir: &Path) -> Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(dir.join("ca.pem"), made.cert.pem())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A proxy whose breakers open at the third failure, and a way to call through it.
async fn proxy(dir: &Path, peer: &GrpcPeer, service: &str) -> Result<(Proxy, Channel)> {
    admin_token(dir)?;
    let port = peer.address.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0 }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
circuit_breaker: {{ failure_threshold: 3 }}
upstream: {{ services: {{ talk: {{ protocol: http2{service}, endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    let proxy = Proxy::start(dir, &config).await?;
    let channel = Channel::from_shared(proxy.url.clone())?.connect().await?;
    Ok((proxy, channel))
}

/// What one message is answered with.
async fn tell(channel: &Channel, message: &str) -> Result<String, Status> {
    let answer = chat(channel, Request::new(stream::iter([message.to_owned()]))).await?;
    Ok(answer.into_inner().message().await?.unwrap_or_default())
}

async fn breaker(proxy: &Proxy) -> Result<String> {
    let endpoint = proxy.status().await?.services[0].endpoints[0].clone();
    Ok(serde_json::to_value(endpoint.breaker)?.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_both_ways_message_by_message() -> Result<()> {
    for over_tls in [false, true] {
        let dir = tempfile::tempdir()?;
        let tls = if over_tls { Some(certified(dir.path())?) } else { None };
        let peer = GrpcPeer::start(tls).await?;
        let service = if over_tls { ", tls: { ca_path: ca.pem }" } else { "" };
        let (_proxy, channel) = proxy(dir.path(), &peer, service).await?;
        let (say, messages) = mpsc::channel(1);
        say.send("0".to_owned()).await?;
        let answer = chat(&channel, Request::new(ReceiverStream::new(messages))).await?;
        let mut answers = answer.into_inner();
        for round in 0..100 {
            // The next is only said when the last was answered: nothing waits for an end.
            let heard = timeout(Duration::from_secs(5), answers.message()).await??;
            assert_eq!(heard, Some(round.to_string()));
            say.send((round + 1).to_string()).await?;
        }
        drop(say);
        assert_eq!(answers.message().await?.as_deref(), Some("100"));
        assert_eq!(answers.message().await?, None);
        assert!(answers.trailers().await?.is_some());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail_in_their_trailers_or_their_head_open_the_breaker() -> Result<()> {
    for in_head in [false, true] {
        let (dir, peer) = (tempfile::tempdir()?, GrpcPeer::start(None).await?);
        let (proxy, channel) = proxy(dir.path(), &peer, "").await?;
        let fail = async |code: i32| -> Status {
            let mut request = Request::new(stream::iter([format!("fail {code}")]));
            if in_head {
                request.metadata_mut().insert("x-fail", code.into());
            }
            match chat(&channel, request).await {
                Ok(answer) => answer.into_inner().message().await.unwrap_err(),
                Err(status) => status,
            }
        };
        for code in [3, 5, 7, 8, 9, 12, 16, 1] {
            assert_eq!(fail(code).await.code(), Code::from_i32(code));
        }
        assert_eq!(breaker(&proxy).await?, "closed", "what callers do wrong is not held against it");
        for code in [14, 13, 2] {
            let status = fail(code).await;
            assert_eq!((status.code(), status.message()), (Code::from_i32(code), "told to fail"));
        }
        assert_eq!(breaker(&proxy).await?, "open");
        let refused = tell(&channel, "hello").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "no endpoint is available"));
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let calls = |code: &str| {
            let label = format!("code=\"{code}\"");
            let mut lines = metrics.lines().filter(|l| l.starts_with("proxy_service_grpc_calls_total{"));
            lines.find(|line| line.contains(&label)).and_then(|line| line.rsplit(' ').next()?.parse().ok())
        };
        assert_eq!((calls("UNAVAILABLE"), calls("NOT_FOUND"), calls("OK")), (Some(1), Some(1), Some(0)));
        assert!(metrics.contains("proxy_requests_failed_total 4"), "three calls and a refusal");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_client_ends_is_nobodys_failure() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, GrpcPeer::start(None).await?);
    let (proxy, channel) = proxy(dir.path(), &peer, "").await?;
    for _ in 0..6 {
        let (say, messages) = mpsc::channel(2);
        say.send("hello".to_owned()).await?;
        let mut answers = chat(&channel, Request::new(ReceiverStream::new(messages))).await?.into_inner();
        assert_eq!(answers.message().await?.as_deref(), Some("hello"));
        say.send("sleep 60000".to_owned()).await?;
    }
    let over = async || Ok(proxy.status().await?.services[0].endpoints[0].in_flight == 0);
    eventually("no call is in flight", Duration::from_secs(5), over).await?;
    assert_eq!(breaker(&proxy).await?, "closed");
    assert_eq!(tell(&channel, "hello").await?, "hello");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_told_what_is_left_of_the_callers_time() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, GrpcPeer::start(None).await?);
    let (_proxy, channel) = proxy(dir.path(), &peer, "").await?;
    let mut request = Request::new(stream::iter(["deadline".to_owned()]));
    request.set_timeout(Duration::from_secs(20));
    let told = chat(&channel, request).await?.into_inner().message().await?.unwrap();
    let (digits, unit) = told.split_at(told.len() - 1);
    let left: f64 = digits.parse::<f64>()? / if unit == "u" { 1e6 } else { 1e3 };
    assert!(left < 20.0 && left > 15.0, "{told}");
    Ok(())
}

/// A call by hand with so much time, told to last longer: what comes back within it and a little more.
async fn hurried(proxy: &Proxy, time: &'static str) -> Result<http::Response<hyper::body::Incoming>> {
    let io = TokioIo::new(TcpStream::connect(proxy.process.address("main")).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let message = "hello";
    // A message: not compressed, its length, and a string as the only field.
    let length = u8::try_from(message.len())?;
    let body = [&[0, 0, 0, 0, length + 2, 0x0a, length], message.as_bytes()].concat();
    let request = http::Request::post("http://a/test.Talk/Chat")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-wait", "30000")
        .header("grpc-timeout", time)
        .body(Full::new(Bytes::from(body)))?;
    Ok(timeout(Duration::from_secs(5), sender.send_request(request)).await??)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_deadline_is_kept_and_one_that_nobody_could_keep_is_held_against_nobody() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, GrpcPeer::start(None).await?);
    let (proxy, _) = proxy(dir.path(), &peer, "").await?;
    for (time, state) in [("50m", "closed"), ("1100m", "open")] {
        for _ in 0..3 {
            let response = hurried(&proxy, time).await?;
            assert_eq!(
                (response.status().as_u16(), &response.headers()["grpc-status"]),
                (200, &"4".parse()?)
            );
        }
        assert_eq!(breaker(&proxy).await?, state, "{time}");
    }
    Ok(())
}
