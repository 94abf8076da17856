//! The channel between proxies and brain over mutual TLS, by the mesh's own identities.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Origin, Proxy, Running, eventually, keygen, proxy_config, svid};

const SOON: Duration = Duration::from_secs(20);

/// A brain that takes telemetry from proxies under `spiffe://mesh.local/proxies/` alone.
async fn brain(dir: &Path) -> Result<Running> {
    keygen(dir, "ca --trust-domain mesh.local --out ca").await?;
    svid(dir, "brain", "").await?;
    let config = "api: { port: 0 }\ndata_dir: brain-data\n\
        telemetry: { port: 0, tls: { certificate: brain/svid.pem, key: brain/svid-key.pem, ca_path: brain/bundle.pem,\n\
        \x20 allowed: [ \"spiffe://mesh.local/proxies/*\" ] } }\n";
    std::fs::write(dir.join("brain.yaml"), config)?;
    Running::start("lightsout", &["brain", "--config", "brain.yaml"], dir).await
}

/// A proxy that reports as `name` with that identity, and takes only `brain` for its brain.
async fn proxy(dir: &Path, at: &Running, origins: &[Origin], name: &str, brain: &str) -> Result<Proxy> {
    let telemetry = at.address("telemetry");
    let ai = format!(
        "ai: {{ enabled: true, brain: \"https://{telemetry}\", proxy_id: {name}, tls: {{ certificate: {name}/svid.pem,\n\
         \x20 key: {name}/svid-key.pem, ca_path: {name}/bundle.pem, spiffe_id: \"spiffe://mesh.local/{brain}\" }} }}\n"
    );
    let config =
        proxy_config(dir, origins, &ai)?.replace("proxy.state", &format!("{name}.state").replace('/', "-"));
    let file = format!("{}.yaml", name.replace('/', "-"));
    std::fs::write(dir.join(&file), config)?;
    Proxy::start_by(dir, &file).await
}

async fn known(brain: &Running) -> Result<Vec<(String, i64)>> {
    let list: serde_json::Value =
        reqwest::get(format!("http://{}/v1/proxies", brain.address("api"))).await?.json().await?;
    let row =
        |row: &serde_json::Value| Some((row["proxy"].as_str()?.to_owned(), row["last_window_ms"].as_i64()?));
    Ok(list["items"].as_array().context("no list")?.iter().filter_map(row).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_reports_by_its_identity_without_a_token_and_a_strangers_telemetry_does_not_count()
-> Result<()> {
    let dir = tempfile::tempdir()?;
    let (brain, origins) = (brain(dir.path()).await?, Origin::start_many(1).await?);
    for name in ["proxies/p1", "proxies/p2", "cart"] {
        svid(dir.path(), name, "").await?;
    }
    let stranger = proxy(dir.path(), &brain, &origins, "cart", "brain").await?;
    let doubter = proxy(dir.path(), &brain, &origins, "proxies/p2", "other-brain").await?;
    let good = proxy(dir.path(), &brain, &origins, "proxies/p1", "brain").await?;
    eventually("the proxy's windows count", SOON, || async {
        Ok(known(&brain).await?.iter().any(|(proxy, at)| proxy == "proxies/p1" && *at > 0))
    })
    .await?;
    for (refused, words) in [(&stranger, "cannot reach the brain"), (&doubter, "cannot reach the brain")] {
        eventually("it is told why nothing is reported", SOON, || async {
            Ok(refused.process.log().contains(words)
                || refused.process.log().contains("the brain ended the stream"))
        })
        .await?;
    }
    assert_eq!(known(&brain).await?.len(), 1, "only the one that is believed, and believes");
    assert!(brain.log().contains("spiffe://mesh.local/proxies/p1"), "{}", brain.log());
    drop(good);
    Ok(())
}

/// What openssl sees of the listener's certificate.
async fn fingerprint(address: &str) -> Result<String> {
    let line = format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
    );
    let seen = tokio::process::Command::new("sh").args(["-c", &line]).output().await?;
    let text = String::from_utf8(seen.stdout)?;
    anyhow::ensure!(text.contains("ingerprint="), "openssl saw no certificate");
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_channel_is_renewed_while_windows_flow() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (brain, origins) = (brain(dir.path()).await?, Origin::start_many(1).await?);
    svid(dir.path(), "proxies/p1", "").await?;
    let proxy = proxy(dir.path(), &brain, &origins, "proxies/p1", "brain").await?;
    eventually("the proxy reports", SOON, || async {
        Ok(known(&brain).await?.iter().any(|(_, at)| *at > 0))
    })
    .await?;
    let before = fingerprint(brain.address("telemetry")).await?;
    for name in ["brain", "proxies/p1"] {
        svid(dir.path(), name, " --renew").await?;
    }
    eventually("the brain shows its new certificate", SOON, || async {
        Ok(fingerprint(brain.address("telemetry")).await? != before)
    })
    .await?;
    let seen = known(&brain).await?;
    eventually("windows still come", SOON, || async { Ok(known(&brain).await? > seen) }).await?;
    assert!(!proxy.process.log().contains("the brain ended the stream"), "the stream was cut by the renewal");
    Ok(())
}
