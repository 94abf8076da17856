//! Mutual TLS on the main listener: who is let in, and what endpoints, routes and logs learn of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::HandshakeKind;
use tests::{Authority, Brain, Issued, Origin, Proxy, TlsClient, admin_token, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);
const WEB: &str = "spiffe://mesh.local/web";
const CLIENT_ID: &str = "x-lightsout-client-id";
const XFCC: &str = "x-forwarded-client-cert";

/// A proxy that shows an identity of `ca`, with `client_auth` and more sections.
async fn proxy(dir: &Path, origin: &Origin, ca: &Authority, client_auth: &str, more: &str) -> Result<Proxy> {
    admin_token(dir)?;
    ca.issue("spiffe://mesh.local/gate")?.write(dir, "gate")?;
    let port = origin.address.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0,
  tls: {{ certificate: gate.pem, key: gate-key.pem, client_auth: {{ {client_auth} }} }} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
{more}"
    );
    Proxy::start(dir, &config).await
}

fn at(proxy: &Proxy) -> &str {
    proxy.process.address("main")
}

fn spoofed() -> HeaderMap {
    let names = [CLIENT_ID, XFCC, "connection"].map(HeaderName::from_static);
    let values = ["spiffe://mesh.local/admin", "URI=spiffe://mesh.local/admin", "x-forwarded-client-cert"];
    names.into_iter().zip(values.map(HeaderValue::from_static)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_learns_who_asks_and_not_what_the_client_says_of_itself() -> Result<()> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    let proxy = proxy(dir.path(), &origin, &ca, "mode: strict, ca_path: ca.pem", "").await?;
    let web = ca.issue(WEB)?;
    let clients = [TlsClient::new(&ca.der, Some(&web))?, TlsClient::new(&ca.der, Some(&web))?.http2()];
    for (n, client) in clients.iter().enumerate() {
        let mut headers = spoofed();
        if n == 1 {
            headers.remove("connection");
        }
        assert_eq!(client.get(at(&proxy), "/", &headers).await?.0, 200);
        let head = origin.last_head().unwrap();
        assert_eq!(head.headers.get_all(CLIENT_ID).iter().collect::<Vec<_>>(), [WEB]);
        let forwarded: Vec<_> = head.headers.get_all(XFCC).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(forwarded.len(), 1);
        assert!(forwarded[0].starts_with("By=spiffe://mesh.local/gate;Hash="), "{forwarded:?}");
        assert!(forwarded[0].ends_with(";URI=spiffe://mesh.local/web"), "{forwarded:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn permissive_serves_who_shows_nothing_but_not_who_shows_something_bad() -> Result<()> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    let proxy = proxy(dir.path(), &origin, &ca, "mode: permissive, ca_path: ca.pem", "").await?;
    let nobody = TlsClient::new(&ca.der, None)?;
    let mut headers = spoofed();
    headers.remove("connection");
    assert_eq!(nobody.get(at(&proxy), "/", &headers).await?.0, 200);
    let head = origin.last_head().unwrap();
    assert!(!head.headers.contains_key(CLIENT_ID) && !head.headers.contains_key(XFCC), "{head:?}");
    assert_eq!(TlsClient::new(&ca.der, Some(&ca.issue(WEB)?))?.status(at(&proxy)).await?, 200);
    assert_eq!(origin.last_head().unwrap().headers[CLIENT_ID], WEB);
    let stranger = Authority::new(Some("mesh.local"))?.issue(WEB)?;
    assert!(TlsClient::new(&ca.der, Some(&stranger))?.status(at(&proxy)).await.is_err());
    assert_eq!(origin.requests(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_authorities_are_believed_while_both_stand_in_the_bundle() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let (old, new) = (Authority::new(Some("mesh.local"))?, Authority::new(Some("mesh.local"))?);
    let bundle = dir.path().join("ca.pem");
    std::fs::write(&bundle, &old.pem)?;
    let proxy = proxy(dir.path(), &origin, &old, "mode: strict, ca_path: ca.pem", "").await?;
    let client = |ca: &Authority| -> Result<TlsClient> { TlsClient::new(&old.der, Some(&ca.issue(WEB)?)) };
    let (of_old, of_new) = (client(&old)?, client(&new)?);
    let mut standing = of_old.connect(at(&proxy)).await?;
    assert!(of_old.status(at(&proxy)).await.is_ok() && of_new.status(at(&proxy)).await.is_err());

    std::fs::write(&bundle, [old.pem.as_str(), &new.pem].concat())?;
    let both = async || Ok(of_new.status(at(&proxy)).await.is_ok());
    eventually("the new authority is believed without being asked", SOON, both).await?;
    assert!(of_old.status(at(&proxy)).await.is_ok(), "and the old one too");

    std::fs::write(&bundle, &new.pem)?;
    let gone = async || Ok(of_old.status(at(&proxy)).await.is_err());
    eventually("the old authority is believed no more, resumed sessions included", SOON, gone).await?;
    assert!(of_new.status(at(&proxy)).await.is_ok());
    // Nothing that was under way was cut.
    standing.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    let mut answer = [0; 12];
    standing.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");

    std::fs::write(&bundle, "nothing")?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 422);
    assert!(of_new.status(at(&proxy)).await.is_ok(), "a bad bundle keeps the last good one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_with_its_identity_but_not_past_its_revocation() -> Result<()> {
    let (dir, origin, ca) = (tempfile::tempdir()?, Origin::start().await?, Authority::new(None)?);
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    std::fs::write(dir.path().join("crl.pem"), ca.revoke(&[])?)?;
    let client_auth = "mode: strict, ca_path: ca.pem, crl_path: crl.pem";
    let proxy = proxy(dir.path(), &origin, &ca, client_auth, "").await?;
    let (web, other) = (ca.issue(WEB)?, ca.issue("spiffe://mesh.local/other")?);
    let client = TlsClient::new(&ca.der, Some(&web))?;
    let get = async || client.get(at(&proxy), "/", &HeaderMap::new()).await;
    assert_eq!(get().await?, (200, HandshakeKind::Full));
    assert_eq!(get().await?, (200, HandshakeKind::Resumed));
    assert_eq!(origin.last_head().unwrap().headers[CLIENT_ID], WEB);
    std::fs::write(dir.path().join("crl.pem"), ca.revoke(&[&web])?)?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 200);
    assert!(get().await.is_err(), "its ticket is good, its certificate is not");
    assert!(get().await.is_err());
    assert_eq!(TlsClient::new(&ca.der, Some(&other))?.status(at(&proxy)).await?, 200);
    let counted = async || {
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        Ok(metrics.contains("proxy_tls_handshake_failures_total{reason=\"revoked\"} 2"))
    };
    eventually("both are counted", SOON, counted).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_the_access_log_know_the_principal() -> Result<()> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    let more = "routes:
  - { name: shop, source: { principals: [ 'spiffe://mesh.local/shop/*', spiffe://mesh.local/web ] }, split: [ { service: cart } ] }
  - { name: rest, respond: { status: 403 } }
observability: { access_log: { enabled: true, path: access.log } }
";
    let proxy = proxy(dir.path(), &origin, &ca, "mode: permissive, ca_path: ca.pem", more).await?;
    for (id, expected) in [
        (Some(WEB), 200),
        (Some("spiffe://mesh.local/shop/till"), 200),
        (Some("spiffe://mesh.local/shopping"), 403),
        (None, 403),
    ] {
        let own: Option<Issued> = id.map(|id| ca.issue(id)).transpose()?;
        let client = TlsClient::new(&ca.der, own.as_ref())?;
        assert_eq!(client.get(at(&proxy), "/", &HeaderMap::new()).await?.0, expected, "{id:?}");
    }
    let log = dir.path().join("access.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("four lines are written", SOON, async || Ok(read().lines().count() == 4)).await?;
    let lines: Vec<serde_json::Value> =
        read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["principal"], WEB);
    assert!(lines[3]["principal"].is_null());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_names_the_caller_by_its_certificate() -> Result<()> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    let mut brain = Brain::start_with(dir.path(), "observe", &["--record", "w.jsonl"]).await?;
    let client_auth = "mode: permissive, ca_path: ca.pem";
    let proxy = proxy(dir.path(), &origin, &ca, client_auth, &brain.ai_section()).await?;
    for id in [Some("spiffe://mesh.local/basket"), Some("spiffe://mesh.local/ns/shop/sa/till"), None] {
        let own = id.map(|id| ca.issue(id)).transpose()?;
        assert_eq!(TlsClient::new(&ca.der, own.as_ref())?.status(at(&proxy)).await?, 200);
    }
    let read = || std::fs::read_to_string(dir.path().join("w.jsonl")).unwrap_or_default();
    let told = async || {
        let text = read();
        let named = |caller: &str| text.contains(&format!("\"caller\":\"{caller}\""));
        Ok(["basket", "ns/shop/sa/till", "web"].into_iter().all(named))
    };
    eventually("both workloads are told, and who has none is the proxy's own caller", SOON, told).await?;
    brain.process.signal(nix::sys::signal::Signal::SIGTERM)?;
    brain.process.ended().await?;
    Ok(())
}
