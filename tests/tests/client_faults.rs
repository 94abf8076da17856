//! What clients do to their own requests is never held against an endpoint.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use tests::{Origin, Proxy, eventually, proxy_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const HEAD: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";

/// A proxy whose breakers open at the third failure and whose requests have half a second.
async fn touchy(origin: &[Origin]) -> Result<(Proxy, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let config = proxy_config(dir.path(), origin, "circuit_breaker: { failure_threshold: 3 }\n")?;
    let config = config.replacen("workers: 2", "workers: 2, request_timeout_ms: 500", 1);
    Ok((Proxy::start(dir.path(), &config).await?, dir))
}

/// Begins an upload, goes on with `then` once the endpoint has it, and reads the status, if one comes.
async fn upload(proxy: &Proxy, then: Option<&str>) -> Result<String> {
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(HEAD.as_bytes()).await?;
    sleep(Duration::from_millis(100)).await;
    match then {
        Some(more) => stream.write_all(more.as_bytes()).await?,
        None => return Ok(String::new()),
    }
    let mut answer = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_break_off_stall_or_are_malformed_do_not_open_a_breaker() -> Result<()> {
    for (then, expected) in [(None, ""), (Some("zz\r\n"), "400"), (Some(""), "408")] {
        // An origin that answers `/echo` before the body has come would hide whose fault it is.
        let origin = [Origin::start().await?];
        origin[0].behave(tests::Behaviour { delay: Duration::from_secs(2), ..Default::default() });
        let (proxy, _dir) = touchy(&origin).await?;
        for _ in 0..4 {
            assert_eq!(upload(&proxy, then).await?, expected, "{then:?}");
        }
        eventually("the last upload is over", Duration::from_secs(5), || async {
            Ok(proxy.status().await?.services[0].endpoints[0].in_flight == 0)
        })
        .await?;
        let endpoint = proxy.status().await?.services[0].endpoints[0].clone();
        assert_eq!(serde_json::to_value(endpoint.breaker)?, "closed", "after {then:?}");
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let none = format!("endpoint=\"{}\"}} 0\n", origin[0].address);
        let failures = metrics.lines().find(|l| l.starts_with("proxy_backend_failures_total{")).unwrap();
        assert!(format!("{failures}\n").ends_with(&none), "{failures}");
        // The endpoint's own slowness still counts as what it is.
        for _ in 0..3 {
            assert_eq!(reqwest::get(&proxy.url).await?.status(), 504);
        }
        let endpoint = proxy.status().await?.services[0].endpoints[0].clone();
        assert_eq!(serde_json::to_value(endpoint.breaker)?, "open");
    }
    Ok(())
}
