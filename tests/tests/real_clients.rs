//! Clients as people have them: curl and h2load, over every protocol that each of them speaks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tests::{Origin, Proxy, Reply, Scripted, admin_token, curl};
use tokio::process::Command;
use tokio::time::timeout;

/// More than curl sends without asking first (`Expect: 100-continue`).
const UPLOAD: usize = 3 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// One listener, with TLS or without.
async fn proxy(dir: &Path, port: u16, over_tls: bool) -> Result<(Proxy, String)> {
    admin_token(dir)?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(dir.join("cert.pem"), made.cert.pem())?;
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem())?;
    let tls = if over_tls { ", tls: { certificate: cert.pem, key: key.pem }" } else { "" };
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0{tls} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    let proxy = Proxy::start(dir, &config).await?;
    let scheme = if over_tls { "https" } else { "http" };
    let url = format!("{scheme}://{}/x?y=1", proxy.process.address("main"));
    Ok((proxy, url))
}

fn is(method: &str, body: &[u8]) -> String {
    let sum = hex::encode(Sha256::digest(body));
    format!("{method} {} {sum}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_served_over_every_protocol_it_speaks_and_its_uploads_arrive_whole() -> Result<()> {
    let told =
        Scripted::start(
            |_, request| async move { Reply::text(is(request.method().as_str(), request.body())) },
        )
        .await?;
    let upload: Vec<u8> = (0..UPLOAD).map(|n| (n * 31 % 251) as u8).collect();
    for (over_tls, protocol, answered) in [
        (false, &["--http1.0"][..], "HTTP/1"),
        (false, &["--http1.1"], "HTTP/1.1"),
        (false, &["--http2"], "HTTP/1.1"),
        (false, &["--http2-prior-knowledge"], "HTTP/2"),
        (true, &["--http1.1"], "HTTP/1.1"),
        (true, &["--http2"], "HTTP/2"),
        (true, &["--http2", "--tls-max", "1.2"], "HTTP/2"),
    ] {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("upload"), &upload)?;
        let (_proxy, url) = proxy(dir.path(), told.address.port(), over_tls).await?;
        let ask = async |more: &[&str]| -> Result<String> {
            let all = [&["-i", "--cacert", "cert.pem"], protocol, more, &[&url]].concat();
            let (status, text) = curl(dir.path(), &all).await?;
            ensure!(status == 200, "{protocol:?} {more:?}: {status} {text}");
            Ok(text)
        };
        let text = ask(&[]).await?;
        ensure!(text.starts_with(answered) && text.ends_with(&is("GET", b"")), "{protocol:?}: {text}");
        let text = ask(&["--data-binary", "@upload"]).await?;
        ensure!(text.ends_with(&is("POST", &upload)), "{protocol:?}: {text}");
        if answered == "HTTP/1.1" {
            let chunked = ["-X", "PUT", "-H", "Transfer-Encoding: chunked", "--data-binary", "@upload"];
            let text = ask(&chunked).await?;
            ensure!(text.ends_with(&is("PUT", &upload)), "{protocol:?}: {text}");
        }
        let text = ask(&["--head"]).await?;
        ensure!(text.ends_with("\r\n\r\n"), "no body follows a head: {protocol:?}: {text}");
    }
    Ok(())
}

async fn h2load(dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("h2load");
    command.args(arguments).current_dir(dir).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await?.context("h2load is not there")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_loses_no_request_over_either_protocol_with_or_without_tls() -> Result<()> {
    let origin = Origin::start().await?;
    let told = Scripted::always(200, Duration::ZERO).await?;
    for over_tls in [false, true] {
        let dir = tempfile::tempdir()?;
        let (_proxy, url) = proxy(dir.path(), origin.address.port(), over_tls).await?;
        for protocol in [&["--h1"][..], &[]] {
            let all = [&["-n", "2000", "-c", "5", "-m", "8"], protocol, &[&url]].concat();
            let said = h2load(dir.path(), &all).await?;
            ensure!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
            ensure!(said.contains("2000 2xx"), "{said}");
        }
        let uploads = tempfile::tempdir()?;
        std::fs::write(uploads.path().join("upload"), vec![7; 100_000])?;
        let (_proxy, url) = proxy(uploads.path(), told.address.port(), over_tls).await?;
        let said = h2load(uploads.path(), &["-n", "100", "-c", "2", "-m", "8", "-d", "upload", &url]).await?;
        ensure!(said.contains("100 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    }
    ensure!(origin.requests() == 8_000, "{}", origin.requests());
    Ok(())
}
