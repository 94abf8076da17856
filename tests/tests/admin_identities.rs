//! The proxies' admin listener over TLS, known workloads by their certificates, with curl and openssl as they would
//! come, and the brain that acts over it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{
    Load, Origin, Proxy, Running, admin_token, curl, curl_as, eventually, keygen, proxy_config, svid,
};

const SOON: Duration = Duration::from_secs(30);
const VIEWER: &str = "viewer-token-0123456789abcdef";

/// An authority, and identities of these names.
async fn mesh(dir: &Path, names: &[&str]) -> Result<()> {
    keygen(dir, "ca --trust-domain mesh.local --out ca").await?;
    for name in names {
        svid(dir, name, "").await?;
    }
    Ok(())
}

/// A proxy whose admin listener knows the brain and Prometheus.
async fn proxy(dir: &Path, mode: &str, allowed: &str, more: &str) -> Result<(Proxy, Vec<Origin>)> {
    let origins = Origin::start_many(2).await?;
    std::fs::write(dir.join("viewer.token"), VIEWER)?;
    let admin = format!(
        "token_path: mesh.token, viewer_token_path: viewer.token, open_reads: false,\n\
         \x20 operators: [ \"spiffe://mesh.local/brain\" ], viewers: [ \"spiffe://mesh.local/monitoring/*\" ],\n\
         \x20 tls: {{ certificate: p1/svid.pem, key: p1/svid-key.pem,\n\
         \x20   client_auth: {{ mode: {mode}, ca_path: p1/bundle.pem{allowed} }} }},"
    );
    let config = proxy_config(dir, &origins, more)?.replace("token_path: mesh.token,", &admin);
    Ok((Proxy::start(dir, &config).await?, origins))
}

fn https(proxy: &Proxy) -> String {
    format!("https://{}", proxy.process.address("admin"))
}

/// curl with the identity `name`; whose certificate the listener shows is openssl's question below.
async fn ask(dir: &Path, name: &str, arguments: &[&str]) -> Result<u16> {
    Ok(curl_as(dir, name, &[&["-k"], arguments].concat()).await?.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_listener_takes_the_workloads_that_are_named_and_nobody_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    mesh(dir, &["p1", "brain", "monitoring/a", "cart"]).await?;
    keygen(dir, "ca --trust-domain mesh.local --out other-ca").await?;
    keygen(dir, "svid --spiffe-id spiffe://mesh.local/brain --ca other-ca --out false-brain").await?;
    let allowed = ", allowed: [ \"spiffe://mesh.local/brain\", \"spiffe://mesh.local/monitoring/*\" ]";
    let (proxy, _origins) = proxy(dir, "strict", allowed, "").await?;
    let url = https(&proxy);
    let (freeze, status, health) =
        (format!("{url}/freeze"), format!("{url}/status"), format!("{url}/health"));
    for refused in ["cart", "false-brain"] {
        assert!(ask(dir, refused, &[&health]).await.is_err(), "{refused} came in");
    }
    let token = format!("authorization: Bearer {}", admin_token(dir)?);
    assert!(curl(dir, &["-k", "-H", &token, &health]).await.is_err(), "without a certificate");
    assert!(curl(dir, &[&health.replace("https", "http")]).await.is_err(), "in clear text");
    assert_eq!(ask(dir, "brain", &["-X", "POST", &freeze]).await?, 200);
    assert_eq!(ask(dir, "brain", &[&status]).await?, 200);
    assert_eq!(ask(dir, "monitoring/a", &[&status]).await?, 200);
    assert_eq!(ask(dir, "monitoring/a", &[&format!("{url}/v1/actions")]).await?, 200);
    for write in ["freeze", "unfreeze", "reload", "drain", "v1/actions/a/renew"] {
        let at = format!("{url}/{write}");
        assert_eq!(ask(dir, "monitoring/a", &["-X", "POST", &at]).await?, 403, "{write}");
    }
    // A viewer that also has the operator's token is the operator.
    assert_eq!(
        ask(dir, "monitoring/a", &["-H", &token, "-X", "POST", &format!("{url}/unfreeze")]).await?,
        200
    );
    let log = proxy.process.log();
    assert!(log.contains("a handshake with the admin listener failed"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_certificates_are_not_asked_of_all_tokens_open_by_their_roles() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    mesh(dir, &["p1", "brain", "cart"]).await?;
    let (proxy, _origins) = proxy(dir, "permissive", "", "").await?;
    let url = https(&proxy);
    let (freeze, status) = (format!("{url}/freeze"), format!("{url}/status"));
    let operator = format!("authorization: Bearer {}", admin_token(dir)?);
    let viewer = format!("authorization: Bearer {VIEWER}");
    let bare =
        async |arguments: &[&str]| Ok::<_, anyhow::Error>(curl(dir, &[&["-k"], arguments].concat()).await?.0);
    for path in ["/health", "/ready"] {
        assert_eq!(bare(&[&format!("{url}{path}")]).await?, 200, "{path}");
    }
    for path in ["/status", "/metrics", "/v1/actions"] {
        let at = format!("{url}{path}");
        let seen = (bare(&[&at]).await?, ask(dir, "cart", &[&at]).await?, bare(&["-H", &viewer, &at]).await?);
        assert_eq!(seen, (401, 401, 200), "{path}: nobody, a workload that is not named, a viewer");
    }
    assert_eq!(bare(&["-X", "POST", &freeze]).await?, 401);
    assert_eq!(ask(dir, "cart", &["-X", "POST", &freeze]).await?, 401);
    assert_eq!(bare(&["-H", &viewer, "-X", "POST", &freeze]).await?, 403);
    assert_eq!(bare(&["-H", &operator, "-X", "POST", &freeze]).await?, 200);
    assert_eq!(ask(dir, "brain", &["-X", "POST", &format!("{url}/unfreeze")]).await?, 200);
    assert_eq!(ask(dir, "brain", &["-H", "authorization: Bearer wrong", &status]).await?, 401);
    let address = proxy.process.address("admin");
    let line = format!(
        "openssl s_client -connect {address} -CAfile p1/bundle.pem -verify_return_error -alpn h2,http/1.1 </dev/null"
    );
    let seen = tokio::process::Command::new("sh").args(["-c", &line]).current_dir(dir).output().await?;
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(text.contains("Verify return code: 0") && text.contains("ALPN protocol: http/1.1"), "{text}");
    Ok(())
}

/// A brain that knows proxies under `spiffe://mesh.local/proxies/` by their certificates, and shows `name`'s.
async fn brain(dir: &Path, name: &str) -> Result<Running> {
    let config = format!(
        "api: {{ port: 0 }}\ndata_dir: {name}-data\nmode: autonomous\n\
         telemetry: {{ port: 0, tls: {{ certificate: {name}/svid.pem, key: {name}/svid-key.pem,\n\
         \x20 ca_path: {name}/bundle.pem, allowed: [ \"spiffe://mesh.local/p1\" ] }} }}\n"
    );
    std::fs::write(dir.join(format!("{name}.yaml")), config)?;
    Running::start("lightsout", &["brain", "--config", &format!("{name}.yaml")], dir).await
}

/// The `ai` section of a proxy that reports to it.
fn reports_to(brain: &Running, name: &str) -> String {
    format!(
        "ai: {{ enabled: true, brain: \"https://{}\", proxy_id: p1, tls: {{ certificate: p1/svid.pem,\n\
         \x20 key: p1/svid-key.pem, ca_path: p1/bundle.pem, spiffe_id: \"spiffe://mesh.local/{name}\" }} }}\n",
        brain.address("telemetry")
    )
}

async fn first_proxy(brain: &Running) -> Result<Value> {
    let url = format!("http://{}/v1/proxies", brain.address("api"));
    let list: Value = reqwest::get(url).await?.json().await?;
    Ok(list["items"][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brain_acts_by_its_identity_without_a_token_also_once_that_is_renewed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    mesh(dir, &["p1", "brain"]).await?;
    let brain = brain(dir, "brain").await?;
    let (proxy, _origins) = proxy(dir, "strict", "", &reports_to(&brain, "brain")).await?;
    let _load = Load::start(&proxy.url, 50)?;
    eventually("its status is read", SOON, || async { Ok(first_proxy(&brain).await?["reachable"] == true) })
        .await?;
    assert_eq!(first_proxy(&brain).await?["admin"], format!("{}/", https(&proxy)));
    for name in ["brain", "p1"] {
        svid(dir, name, " --renew").await?;
    }
    let api = format!("http://{}", brain.address("api"));
    let token = std::fs::read_to_string(dir.join("brain-data/api.token"))?;
    let kind = json!({ "type": "set_timeout", "request_timeout_ms": 4_000 });
    let body = json!({ "service": "cart", "kind": kind, "lease_ms": 60_000, "reason": "a test" });
    let client = reqwest::Client::new();
    eventually("the guard allows it, having seen the service", SOON, || async {
        let asked = client.post(format!("{api}/v1/actions")).bearer_auth(token.trim()).json(&body);
        Ok(asked.send().await?.status().is_success())
    })
    .await?;
    let leases = format!("{}/v1/actions", https(&proxy));
    eventually("the action is on the proxy", SOON, || async {
        let shown = ["-k", "--cert", "brain/svid.pem", "--key", "brain/svid-key.pem", &leases];
        let (_, list) = curl(dir, &shown).await?;
        let list: Value = serde_json::from_str(&list).context("no list")?;
        Ok(list["items"][0]["kind"]["type"] == "set_timeout")
    })
    .await
    .with_context(|| brain.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_that_is_not_named_reads_and_changes_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    mesh(dir, &["p1", "impostor"]).await?;
    let impostor = brain(dir, "impostor").await?;
    let _proxy_and_origins = proxy(dir, "strict", "", &reports_to(&impostor, "impostor")).await?;
    eventually("the proxy reports", SOON, || async {
        Ok(first_proxy(&impostor).await?["last_window_ms"].as_i64() > Some(0))
    })
    .await?;
    let seen = first_proxy(&impostor).await?["last_window_ms"].as_i64();
    eventually("more windows come", SOON, || async {
        Ok(first_proxy(&impostor).await?["last_window_ms"].as_i64() > seen)
    })
    .await?;
    assert_eq!(first_proxy(&impostor).await?["reachable"], false);
    Ok(())
}
