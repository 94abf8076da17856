//! Connections that go on in another protocol: WebSocket by a real client and endpoint, and what neither
//! would do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use tests::{Proxy, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};
use tokio_util::task::AbortOnDropHandle;

const SOON: Duration = Duration::from_secs(5);
const ASKS: &str =
    "GET /live HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: chat/2\r\n\r\n";

/// An endpoint that does `serve` with each connection.
struct Peer {
    port: u16,
    connections: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Peer {
    async fn start<F: Future<Output = Result<()>> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, connections) = (listener.local_addr()?.port(), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Ok(Self { port, connections, _serving: AbortOnDropHandle::new(serving) })
    }

    /// One that answers each head with `answer`, says back what comes then, and `bye` at its end.
    async fn answering(answer: &'static str) -> Result<Self> {
        Self::start(move |mut stream| async move {
            let head = read_head(&mut stream).await?;
            stream.write_all(answer.replace("HEAD-LENGTH", &head.len().to_string()).as_bytes()).await?;
            let (mut reads, mut writes) = stream.split();
            tokio::io::copy(&mut reads, &mut writes).await?;
            writes.write_all(b"bye").await?;
            Ok(())
        })
        .await
    }
}

async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await??);
    }
    Ok(String::from_utf8(head)?)
}

async fn proxy(dir: &Path, peer: &Peer, server: &str, route: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let port = peer.port;
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0{server} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
routes: [ {{ {route}split: [ {{ service: cart }} ] }} ]
"
    );
    Proxy::start(dir, &config).await
}

async fn connect(proxy: &Proxy) -> Result<TcpStream> {
    Ok(TcpStream::connect(proxy.process.address("main")).await?)
}

async fn in_flight(proxy: &Proxy) -> Result<u64> {
    Ok(proxy.status().await?.services[0].endpoints[0].in_flight)
}

async fn echo(stream: TcpStream) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn say(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Result<()> {
    socket.send(message.clone()).await?;
    assert_eq!(timeout(SOON, socket.next()).await?.unwrap()?, message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_talk_both_ways_and_are_in_flight_until_they_close() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, Peer::start(echo).await?);
    // After the goodbyes our clients do not close: that is not waited for for long.
    let proxy = proxy(dir.path(), &peer, ", idle_timeout_ms: 500", "").await?;
    let (mut one, response) = client_async("ws://shop.test/live?q=1", connect(&proxy).await?).await?;
    assert_eq!((response.status().as_u16(), &response.headers()["upgrade"]), (101, &"websocket".parse()?));
    assert!(response.headers().contains_key("x-request-id"));
    let (mut two, _) = client_async("ws://shop.test/live", connect(&proxy).await?).await?;
    for round in 0..20 {
        say(&mut one, Message::text(format!("{round}"))).await?;
        say(&mut two, Message::binary(vec![round; 100_000])).await?;
    }
    say(&mut one, Message::binary(vec![7; 3_000_000])).await?;
    assert_eq!(in_flight(&proxy).await?, 2);
    one.close(None).await?;
    two.close(None).await?;
    while let Some(Ok(_)) = timeout(SOON, one.next()).await? {}
    while let Some(Ok(_)) = timeout(SOON, two.next()).await? {}
    eventually("no tunnel is in flight", SOON, || async { Ok(in_flight(&proxy).await? == 0) }).await?;
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    for name in ["proxy_bytes_sent_total ", "proxy_bytes_received_total "] {
        let counted = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert!(counted.parse::<f64>()? > 5_000_000.0, "{name}{counted}");
    }
    assert!(metrics.contains("class=\"1xx\"} 2") && metrics.contains("proxy_requests_failed_total 0"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_said_all_may_still_listen_and_what_was_said_early_is_heard() -> Result<()> {
    let agrees = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat/2\r\n\r\n";
    let (dir, peer) = (tempfile::tempdir()?, Peer::answering(agrees).await?);
    let proxy = proxy(dir.path(), &peer, "", "upgrades: [chat/2], ").await?;
    let mut stream = connect(&proxy).await?;
    // Before the answer, and not even HTTP's bytes.
    stream.write_all(format!("{ASKS}early \0\r\n").as_bytes()).await?;
    assert!(read_head(&mut stream).await?.starts_with("HTTP/1.1 101 "));
    stream.write_all(b"late").await?;
    stream.shutdown().await?;
    let mut heard = String::new();
    timeout(SOON, stream.read_to_string(&mut heard)).await??;
    assert_eq!(heard, "early \0\r\nlatebye");
    eventually("the tunnel is over", SOON, || async { Ok(in_flight(&proxy).await? == 0) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_not_asked_for() -> Result<()> {
    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-head: HEAD-LENGTH\r\n\r\n";
    let websocket = ASKS.replace("chat/2", "websocket");
    let h2c = ASKS.replace("chat/2", "h2c");
    for (route, request) in [
        ("", ASKS),
        ("upgrades: [], ", websocket.as_str()),
        ("upgrades: [websocket, chat/2], ", h2c.as_str()),
        ("", &websocket.replace("GET", "POST")),
        ("", &websocket.replace("keep-alive, Upgrade", "keep-alive")),
        ("", &websocket.replace("websocket", "websocket, h2c")),
    ] {
        let (asked, mut heads) = tokio::sync::mpsc::channel(4);
        let peer = Peer::start(move |mut stream| {
            let asked = asked.clone();
            async move {
                asked.send(read_head(&mut stream).await?).await?;
                stream.write_all(plain.as_bytes()).await?;
                Ok(())
            }
        })
        .await?;
        let dir = tempfile::tempdir()?;
        let proxy = proxy(dir.path(), &peer, "", route).await?;
        let mut stream = connect(&proxy).await?;
        stream.write_all(request.as_bytes()).await?;
        assert!(read_head(&mut stream).await?.starts_with("HTTP/1.1 200 "), "{request}");
        let head = heads.recv().await.unwrap().to_lowercase();
        assert!(!head.contains("upgrade"), "{head}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_switches_unasked_has_failed_and_one_that_declines_goes_on() -> Result<()> {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: PROTOCOL\r\n\r\n";
    let unnamed = "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned();
    for answer in [switch.replace("PROTOCOL", "chat/2"), switch.replace("PROTOCOL", "h2c"), unnamed] {
        let answer: &str = answer.leak();
        let (dir, peer) = (tempfile::tempdir()?, Peer::answering(answer).await?);
        let proxy = proxy(dir.path(), &peer, "", "").await?;
        for request in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", &ASKS.replace("chat/2", "websocket")] {
            let mut stream = connect(&proxy).await?;
            stream.write_all(request.as_bytes()).await?;
            assert!(read_head(&mut stream).await?.starts_with("HTTP/1.1 502 "), "{answer} {request}");
        }
    }
    let declines = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno";
    let (dir, peer) = (tempfile::tempdir()?, Peer::answering(declines).await?);
    let proxy = proxy(dir.path(), &peer, "", "upgrades: [chat/2], ").await?;
    let mut stream = connect(&proxy).await?;
    for _ in 0..2 {
        stream.write_all(ASKS.as_bytes()).await?;
        assert!(read_head(&mut stream).await?.starts_with("HTTP/1.1 426 "));
        assert_eq!((stream.read_u8().await?, stream.read_u8().await?), (b'n', b'o'));
    }
    assert!(peer.connections.load(Ordering::SeqCst) >= 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_quiet_for_too_long_is_cut_and_a_lively_one_is_not() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, Peer::start(echo).await?);
    let proxy = proxy(dir.path(), &peer, ", idle_timeout_ms: 200, tunnel_idle_timeout_ms: 800", "").await?;
    let (mut quiet, _) = client_async("ws://a/", connect(&proxy).await?).await?;
    let (mut lively, _) = client_async("ws://a/", connect(&proxy).await?).await?;
    let (talk, cut) = tokio::join!(
        async {
            for _ in 0..20 {
                say(&mut lively, Message::text("still here")).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        },
        timeout(SOON, quiet.next()),
    );
    talk?;
    assert!(!matches!(cut?, Some(Ok(_))));
    eventually("one is left", SOON, || async { Ok(in_flight(&proxy).await? == 1) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_outlive_a_drains_beginning_and_end_with_it() -> Result<()> {
    let (dir, peer) = (tempfile::tempdir()?, Peer::start(echo).await?);
    let mut proxy = proxy(dir.path(), &peer, ", drain_timeout_ms: 1500", "").await?;
    let (mut socket, _) = client_async("ws://a/", connect(&proxy).await?).await?;
    say(&mut socket, Message::text("before")).await?;
    proxy.process.signal(Signal::SIGTERM)?;
    let refused = async || Ok(connect(&proxy).await.is_err());
    eventually("no connection is accepted", SOON, refused).await?;
    say(&mut socket, Message::text("while draining")).await?;
    assert!(!matches!(timeout(SOON, socket.next()).await?, Some(Ok(_))));
    assert!(proxy.process.ended().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_leads_where_the_list_says_and_nowhere_else() -> Result<()> {
    let far = Peer::start(|mut stream| async move {
        let (mut reads, mut writes) = stream.split();
        tokio::io::copy(&mut reads, &mut writes).await?;
        writes.write_all(b"bye").await?;
        Ok(())
    })
    .await?;
    let (dir, target) = (tempfile::tempdir()?, format!("127.0.0.1:{}", far.port));
    let listed = format!(", connect: {{ allow: ['{target}', '127.0.0.1:1'] }}");
    let open = proxy(dir.path(), &far, &listed, "").await?;
    let ask = async |proxy: &Proxy, target: &str, host: &str, more: &str| -> Result<(TcpStream, String)> {
        let mut stream = connect(proxy).await?;
        let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
        // What is said before the answer is for the far end already.
        stream.write_all(format!("{head}early ").as_bytes()).await?;
        let answer = read_head(&mut stream).await?;
        Ok((stream, answer.split(' ').nth(1).unwrap_or_default().to_owned()))
    };
    let (mut stream, status) = ask(&open, &target, &target, "").await?;
    assert_eq!(status, "200");
    stream.write_all(b"late").await?;
    stream.shutdown().await?;
    let mut heard = String::new();
    timeout(SOON, stream.read_to_string(&mut heard)).await??;
    assert_eq!(heard, "early latebye");
    let localhost = format!("localhost:{}", far.port);
    for (target, host, more, expected) in [
        (&*localhost, &*localhost, "", "403"),
        ("127.0.0.1:22", "127.0.0.1:22", "", "403"),
        (&*target, "elsewhere:1", "", "400"),
        (&*target, &*target, "content-length: 6\r\n", "400"),
        ("127.0.0.1:1", "127.0.0.1:1", "", "502"),
    ] {
        assert_eq!(ask(&open, target, host, more).await?.1, expected, "{target} {host} {more}");
    }
    assert_eq!(far.connections.load(Ordering::SeqCst), 1);
    let dir = tempfile::tempdir()?;
    let shut = proxy(dir.path(), &far, "", "").await?;
    assert_eq!(ask(&shut, &target, &target, "").await?.1, "501");
    let metrics = reqwest::get(format!("{}/metrics", open.admin)).await?.text().await?;
    assert!(metrics.contains("proxy_requests_refused_total{reason=\"connect_target\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_network_gets_no_tunnel_to_what_is_listed() -> Result<()> {
    let far = Peer::answering("HTTP/1.1 200 OK\r\n\r\n").await?;
    let dir = tempfile::tempdir()?;
    let target = format!("127.0.0.1:{}", far.port);
    // The last brace is the one that `proxy` closes the server's section with.
    let denied =
        format!(", connect: {{ allow: ['{target}'] }} }}\nsecurity: {{ ip_lists: {{ deny: [127.0.0.0/8] }}");
    let proxy = proxy(dir.path(), &far, &denied, "").await?;
    let mut stream = connect(&proxy).await?;
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes()).await?;
    let answer = read_head(&mut stream).await?;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(far.connections.load(Ordering::SeqCst), 0);
    Ok(())
}
