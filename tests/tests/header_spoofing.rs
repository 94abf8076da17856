//! Fields by which endpoints and authorizers know who asks, said by the client instead: in every spelling, over
//! HTTP/1.1 and HTTP/2, in heads and in trailers, twice, and nominated by `Connection`. None of it may arrive.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use sha2::{Digest, Sha256};
use tests::{Proxy, Reply, Scripted, proxy_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What every lie says.
const LIE: &str = "canary-root";
const KEY: &str = "partner-key-1";

/// Who asks (by a provider, by an authorizer, by the mesh), from where, by whom forwarded.
const NAMES: [&str; 22] = [
    "x-user",
    "X-USER",
    "x_user",
    "X_User",
    "x-role",
    "x_role",
    "X-Lightsout-Client-Id",
    "x_lightsout_client_id",
    "x-lightsout-user",
    "x-lightsout-shadow",
    "X-Forwarded-Client-Cert",
    "x_forwarded_client_cert",
    "x-forwarded_client-cert",
    "x-forwarded-for",
    "x_forwarded_for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-user",
    "x-original-url",
    "x-real-ip",
    "X_Real_IP",
    "forwarded",
];

/// An endpoint that keeps what comes, byte by byte.
struct Witness {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Witness {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, heard) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let shared = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hear(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, heard, _serving: AbortOnDropHandle::new(serving) })
    }

    fn last(&self) -> String {
        self.heard.lock().unwrap().last().cloned().unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

async fn hear(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) -> Result<()> {
    let mut text = String::new();
    let mut piece = [0; 4_096];
    while !is_whole(&text) {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    heard.lock().unwrap().push(text);
    Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?)
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    !chunked || (body.ends_with("\r\n\r\n") && (body.starts_with("0\r\n") || body.contains("\r\n0\r\n")))
}

/// A proxy that tells endpoints who asks in `x-user`, and lets an authorizer tell them `x-role`.
async fn proxy(
    witness: &Witness,
    authorizer: SocketAddr,
    server: &str,
) -> Result<(Proxy, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let hash = hex::encode(Sha256::digest(KEY));
    let more = format!(
        "        - {{ address: 127.0.0.1, port: {} }}
security:
  authentication:
    required: [partners]
    providers:
      partners:
        api_keys: {{ keys: [ {{ name: acme, sha256: {hash} }} ] }}
        claims_to_headers: {{ sub: x-user }}
  authorization: {{ external: {{ url: \"http://{authorizer}\", endpoint_headers: [x-role], timeout_ms: 5000 }} }}
",
        witness.address.port()
    );
    let text = proxy_config(dir.path(), &[], &more)?.replace("workers: 2", &format!("workers: 1{server}"));
    Ok((Proxy::start(dir.path(), &text).await?, dir))
}

/// Allows everything, and keeps what it was asked.
async fn authorizer() -> Result<(Scripted, Arc<Mutex<Vec<String>>>)> {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let shared = Arc::clone(&asked);
    let server = Scripted::start(move |_, request| {
        shared.lock().unwrap().push(format!("{:?}", request.headers()));
        async { Reply::status(200) }
    })
    .await?;
    Ok((server, asked))
}

async fn over_http1(proxy: &Proxy, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn over_http2(proxy: &Proxy, fields: HeaderMap, trailers: Option<HeaderMap>) -> Result<u16> {
    let stream = TcpStream::connect(proxy.process.address("main")).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    let driving = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::post("http://shop/x").header("x-api-key", KEY).body(())?;
    request.headers_mut().extend(fields);
    let (answer, mut body) = sender.ready().await?.send_request(request, trailers.is_none())?;
    if let Some(trailers) = trailers {
        body.send_data(Bytes::from_static(b"hello"), false)?;
        body.send_trailers(trailers)?;
    }
    let status = answer.await?.status().as_u16();
    drop(driving);
    Ok(status)
}

fn said(name: &str, times: usize) -> HeaderMap {
    let name: HeaderName = name.to_ascii_lowercase().parse().unwrap();
    (0..times).map(|_| (name.clone(), HeaderValue::from_static(LIE))).collect()
}

/// What the endpoint heard holds no lie, and says who asks once.
fn is_clean(heard: &str, what: &str) {
    assert!(!heard.contains(LIE), "{what} arrived:\n{heard}");
    let told = heard.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-user:"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told, ["x-user: acme"], "{what}:\n{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_says_who_asks_is_not_believed_in_any_spelling() -> Result<()> {
    let (witness, (authorizer, asked)) = (Witness::start().await?, authorizer().await?);
    let (proxy, _dir) = proxy(&witness, authorizer.address, ", allow_underscores: true").await?;
    for name in NAMES {
        let lie = format!("{name}: {LIE}\r\n");
        for (what, fields) in [
            ("once", lie.clone()),
            ("twice", lie.repeat(2)),
            ("in a list", format!("{name}: a, {LIE}\r\n")),
            ("nominated", format!("{lie}Connection: close, {name}\r\n")),
            ("nominated before", format!("Connection: {name}\r\n{lie}")),
        ] {
            let request = format!(
                "GET /x HTTP/1.1\r\nHost: shop\r\nX-Api-Key: {KEY}\r\n{fields}Connection: close\r\n\r\n"
            );
            let answer = over_http1(&proxy, &request).await?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{name} {what}: {answer}");
            is_clean(&witness.last(), &format!("{name} {what}"));
        }
        for times in [1, 2] {
            ensure!(over_http2(&proxy, said(name, times), None).await? == 200, "{name}");
            is_clean(&witness.last(), &format!("{name} {times} times over HTTP/2"));
        }
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), witness.count());
    let lie = asked.iter().find(|fields| fields.contains(LIE));
    assert!(lie.is_none(), "the authorizer was told {}", lie.unwrap());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_say_nothing_of_who_asks() -> Result<()> {
    let (witness, (authorizer, _asked)) = (Witness::start().await?, authorizer().await?);
    let (proxy, _dir) = proxy(&witness, authorizer.address, ", allow_underscores: true").await?;
    let more =
        ["authorization", "Proxy-Authorization", "cookie", "host", "x-request-id", "content-type", "te"];
    for name in NAMES.into_iter().chain(more) {
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: shop\r\nX-Api-Key: {KEY}\r\nTransfer-Encoding: chunked\r\nTrailer: {name}, x-sum\r\n\
             Connection: close\r\n\r\n5\r\nhello\r\n0\r\n{name}: {LIE}\r\nx-sum: 1\r\n\r\n"
        );
        let answer = over_http1(&proxy, &request).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        is_clean(&witness.last(), &format!("{name} in a trailer"));
        ensure!(witness.last().contains("x-sum: 1\r\n"), "what may be there is: {}", witness.last());
        if name == "te" || name == "host" {
            continue;
        }
        let mut trailers = said(name, 2);
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        ensure!(over_http2(&proxy, HeaderMap::new(), Some(trailers)).await? == 200, "{name}");
        is_clean(&witness.last(), &format!("{name} in a trailer over HTTP/2"));
        ensure!(witness.last().contains("x-sum: 1\r\n"), "what may be there is: {}", witness.last());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_an_underscore_is_refused_unless_it_is_allowed() -> Result<()> {
    let (witness, (authorizer, _asked)) = (Witness::start().await?, authorizer().await?);
    let (proxy, _dir) = proxy(&witness, authorizer.address, "").await?;
    for name in NAMES.into_iter().filter(|name| name.contains('_')) {
        let request = format!(
            "GET /x HTTP/1.1\r\nHost: shop\r\nX-Api-Key: {KEY}\r\n{name}: {LIE}\r\nConnection: close\r\n\r\n"
        );
        let answer = over_http1(&proxy, &request).await?;
        ensure!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
        ensure!(over_http2(&proxy, said(name, 1), None).await? == 400, "{name}");
    }
    ensure!(witness.count() == 0, "no endpoint was asked");
    Ok(())
}
