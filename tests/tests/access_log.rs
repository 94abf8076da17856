//! The access log of a real proxy: one line a request whatever is sent, moved away and opened again, complete
//! after a drain.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Behaviour, Origin, Proxy, eventually, proxy_config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn proxy_with(dir: &Path, origins: &[Origin], access_log: &str) -> Result<Proxy> {
    let more = format!("observability:\n  access_log: {{ enabled: true, path: access.log, {access_log} }}\n");
    Proxy::start(dir, &proxy_config(dir, origins, &more)?).await
}

async fn raw(proxy: &Proxy, bytes: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(bytes).await?;
    timeout(SOON, stream.read_to_end(&mut Vec::new())).await??;
    Ok(())
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn until_lines(path: &Path, count: usize) -> Result<Vec<String>> {
    let what = format!("{} has {count} lines", path.display());
    eventually(&what, SOON, async || Ok(lines(path).len() >= count)).await?;
    Ok(lines(path))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_line_of_json_that_tells_what_became_of_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = proxy_with(dir.path(), &origins, "redact: [query]").await?;
    let client = reqwest::Client::new();
    let post = client.post(format!("{}/echo?token=secret", proxy.url)).header("user-agent", "tester");
    post.header("x-request-id", "mine").body("hello").send().await?.text().await?;
    raw(&proxy, b"GET /bad HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
    let lines = until_lines(&dir.path().join("access.log"), 2).await?;
    let told: Value = serde_json::from_str(&lines[0])?;
    let endpoint = origins[0].address.to_string();
    for (field, value) in [
        ("request_id", "mine".into()),
        ("client", "127.0.0.1".into()),
        ("method", "POST".into()),
        ("host", proxy.process.address("main").into()),
        ("path", "/echo".into()),
        ("query", "[redacted]".into()),
        ("status", 200.into()),
        ("reason", Value::Null),
        ("bytes_in", 5.into()),
        ("bytes_out", 5.into()),
        ("route", "default".into()),
        ("service", "cart".into()),
        ("version", "v1".into()),
        ("endpoint", endpoint.into()),
        ("attempts", 1.into()),
        ("user_agent", "tester".into()),
    ] {
        assert_eq!(told[field], value, "{field} in {told}");
    }
    let (all, upstream) = (told["duration_ms"].as_f64().unwrap(), told["upstream_ms"].as_f64().unwrap());
    assert!(0.0 < upstream && upstream <= all, "{told}");
    let refused: Value = serde_json::from_str(&lines[1])?;
    assert_eq!((&refused["status"], &refused["reason"]), (&400.into(), &"bad_request".into()));
    assert!(refused["endpoint"].is_null() && refused["route"].is_null());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_forges_a_line_or_talks_to_the_terminal() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = proxy_with(dir.path(), &origins, "format: text").await?;
    let hostile = b"GET /x%0d%0aFORGED?\"q\xe2\x80\xa8 HTTP/1.1\r\nhost: h\r\n\
        user-agent: \" 200 \x9b31m\\ \t{\"forged\":1}\r\nx-request-id: a\"b\r\nconnection: close\r\n\r\n";
    raw(&proxy, hostile).await?;
    raw(&proxy, &hostile.replace_query()).await?;
    let lines = until_lines(&dir.path().join("access.log"), 1).await?;
    for line in &lines {
        assert!(line.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{line:?}");
        assert_eq!(line.matches('"').count(), 4, "two quoted parts: {line}");
        assert!(line.contains("\\x22 200 \\x9b31m\\x5c \\x09{"), "{line}");
    }
    Ok(())
}

trait Harmless {
    fn replace_query(&self) -> Vec<u8>;
}

impl Harmless for [u8] {
    /// The same without bytes in the target that the HTTP library may not take.
    fn replace_query(&self) -> Vec<u8> {
        let at = self.iter().position(|b| *b == b'?').unwrap_or(0);
        let end = self.windows(5).position(|w| w == b" HTTP").unwrap_or(0);
        [&self[..at], &self[end..]].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sampled_requests_the_failed_ones_are_written_all_the_same() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = proxy_with(dir.path(), &origins, "sample: 0, fields: [path, status, reason]").await?;
    for path in ["fine", "also"] {
        reqwest::get(format!("{}/{path}", proxy.url)).await?.text().await?;
    }
    origins[0].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    reqwest::get(format!("{}/broken", proxy.url)).await?.text().await?;
    let lines = until_lines(&dir.path().join("access.log"), 1).await?;
    assert_eq!(lines, ["{\"path\":\"/broken\",\"status\":500,\"reason\":null}"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_moved_is_opened_again_and_a_drain_writes_the_rest() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let mut proxy = proxy_with(dir.path(), &origins, "fields: [path]").await?;
    let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let client = reqwest::Client::new();
    client.get(format!("{}/one", proxy.url)).send().await?.text().await?;
    until_lines(&path, 1).await?;
    std::fs::rename(&path, &moved)?;
    proxy.process.signal(Signal::SIGHUP)?;
    eventually("the file is there again", SOON, async || Ok(path.exists())).await?;
    let many = (0..500).map(|n| client.get(format!("{}/{n}", proxy.url)).send());
    for answer in futures_util::future::join_all(many).await {
        answer?.text().await?;
    }
    proxy.process.signal(Signal::SIGTERM)?;
    assert!(proxy.process.ended().await?.success(), "{}", proxy.process.log());
    assert_eq!(lines(&moved), ["{\"path\":\"/one\"}"]);
    assert_eq!(lines(&path).len(), 500);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_is_a_clear_error_at_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let more = "observability: { access_log: { enabled: true, path: nowhere/access.log } }\n";
    let failed = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, more)?).await;
    let why = failed.err().context("it started")?.to_string();
    assert!(why.contains("the access log: No such file or directory"), "{why}");
    Ok(())
}
