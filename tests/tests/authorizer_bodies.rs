//! Bodies that an authorizer is shown before any endpoint gets them: as much as it was given terms for, no more, and the
//! endpoint gets all of it all the same.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Client};
use tests::{Proxy, Reply, Scripted, proxy_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Heard = Arc<Mutex<Vec<(String, Bytes)>>>;

/// Says `status` to everything, and keeps what says whether a body is whole, and the body.
async fn witness(status: u16) -> Result<(Scripted, Heard)> {
    let heard = Heard::default();
    let shared = Arc::clone(&heard);
    let server = Scripted::start(move |_, request| {
        let said =
            request.headers().get("x-envoy-auth-partial-body").map_or("-", |value| value.to_str().unwrap());
        shared.lock().unwrap().push((said.to_owned(), request.body().clone()));
        async move { Reply::status(status) }
    })
    .await?;
    Ok((server, heard))
}

struct Mesh {
    proxy: Proxy,
    asked: Heard,
    served: Heard,
    _endpoint: Scripted,
    _authorizer: Scripted,
    _dir: tempfile::TempDir,
}

async fn mesh(allows: u16, request_body: &str) -> Result<Mesh> {
    let dir = tempfile::tempdir()?;
    let ((authorizer, asked), (endpoint, served)) = (witness(allows).await?, witness(200).await?);
    let more = format!(
        "        - {{ address: 127.0.0.1, port: {} }}
security: {{ authorization: {{ external: {{ url: \"http://{}\", timeout_ms: 5000, request_body: {request_body} }} }} }}
",
        endpoint.address.port(),
        authorizer.address
    );
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &[], &more)?).await?;
    Ok(Mesh { proxy, asked, served, _endpoint: endpoint, _authorizer: authorizer, _dir: dir })
}

impl Mesh {
    /// What the client is answered, what the authorizer was shown, and what the endpoint got.
    async fn send(&self, body: Body) -> Result<(u16, Option<(String, Bytes)>, Option<Bytes>)> {
        let lie = Client::new().post(&self.proxy.url).header("x-envoy-auth-partial-body", "lie");
        let answer = lie.body(body).send().await?;
        let asked = self.asked.lock().unwrap().pop();
        let served = self.served.lock().unwrap().pop();
        Ok((answer.status().as_u16(), asked, served.map(|(_, body)| body)))
    }
}

fn pieces(all: &[&'static str]) -> Body {
    let all: Vec<Result<&'static str, std::io::Error>> = all.iter().map(|piece| Ok(*piece)).collect();
    Body::wrap_stream(stream::iter(all))
}

fn shown(partial: &str, body: &'static str) -> Option<(String, Bytes)> {
    Some((partial.to_owned(), Bytes::from_static(body.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_within_the_bound_is_shown_whole_and_reaches_the_endpoint_whole() -> Result<()> {
    let mesh = mesh(200, "{ max_bytes: 10 }").await?;
    for (body, text) in [
        (Body::from("0123456789"), "0123456789"),
        (Body::from("01"), "01"),
        (Body::from(""), ""),
        (pieces(&["0123", "456", "789"]), "0123456789"),
        (pieces(&[]), ""),
    ] {
        let (status, asked, served) = mesh.send(body).await?;
        ensure!((status, &asked) == (200, &shown("false", text)), "{text}: {status} {asked:?}");
        ensure!(served.as_deref() == Some(text.as_bytes()), "{text}: {served:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_body_is_refused_and_nobody_is_asked() -> Result<()> {
    let mesh = mesh(200, "{ max_bytes: 10 }").await?;
    for body in [Body::from("0123456789a"), pieces(&["0123456789", "a"]), pieces(&["0123456789abc"])] {
        let (status, asked, served) = mesh.send(body).await?;
        ensure!((status, asked.is_none(), served.is_none()) == (413, true, true), "{status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_longer_body_the_beginning_will_do_where_that_is_allowed() -> Result<()> {
    let mesh = mesh(200, "{ max_bytes: 10, allow_partial: true }").await?;
    let long = "0123456789abcdef".repeat(20_000);
    for body in [Body::from(long.clone()), pieces(&["0123456", "789abcdef", "end"])] {
        let (status, asked, served) = mesh.send(body).await?;
        ensure!((status, &asked) == (200, &shown("true", "0123456789")), "{status} {asked:?}");
        let served = served.unwrap();
        ensure!(*served == *long.as_bytes() || *served == *b"0123456789abcdefend", "{} bytes", served.len());
    }
    let (status, asked, _) = mesh.send(Body::from("short")).await?;
    ensure!((status, &asked) == (200, &shown("false", "short")), "{status} {asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_authorizer_denies_reaches_no_endpoint() -> Result<()> {
    let mesh = mesh(403, "{ max_bytes: 10 }").await?;
    let (status, asked, served) = mesh.send(Body::from("secret")).await?;
    ensure!((status, &asked, served) == (403, &shown("false", "secret"), None), "{status} {asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_never_asked_about() -> Result<()> {
    let mesh = mesh(200, "{ max_bytes: 10 }").await?;
    let mut client = TcpStream::connect(mesh.proxy.process.address("main")).await?;
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n0123").await?;
    client.shutdown().await?;
    let mut answer = String::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), client.read_to_string(&mut answer)).await?;
    ensure!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    ensure!(mesh.asked.lock().unwrap().is_empty() && mesh.served.lock().unwrap().is_empty());
    Ok(())
}
