//! TLS to endpoints: whom the proxy believes, what it asks for, and what it says when it does not.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http::Version;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tests::{Origin, Proxy, admin_token, eventually};

/// A certificate for these names, whose PEM is put where `ca_path: ca.pem` finds it.
fn certified(dir: &Path, names: &[&str], alpn: &[&str]) -> Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    std::fs::write(dir.join("ca.pem"), made.cert.pem())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn config(origin: &Origin, service: &str) -> String {
    let port = origin.address.port();
    format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0, max_idle_per_endpoint: 0 }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ], {service} }} }} }}
"
    )
}

async fn proxy(dir: &Path, origin: &Origin, service: &str) -> Result<Proxy> {
    admin_token(dir)?;
    Proxy::start(dir, &config(origin, service)).await
}

async fn status(proxy: &Proxy) -> Result<u16> {
    Ok(reqwest::get(&proxy.url).await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoken_is_agreed_on_by_alpn() -> Result<()> {
    let both = &["h2", "http/1.1"][..];
    for (wants, offers, expected) in [
        ("http1", both, Some(Version::HTTP_11)),
        ("http2", both, Some(Version::HTTP_2)),
        ("auto", both, Some(Version::HTTP_2)),
        ("auto", &["http/1.1"], Some(Version::HTTP_11)),
        ("auto", &[], Some(Version::HTTP_11)),
        ("http2", &[], None),
        ("http2", &["http/1.1"], None),
    ] {
        let dir = tempfile::tempdir()?;
        let origin = Origin::start_tls(certified(dir.path(), &["127.0.0.1"], offers)?).await?;
        let proxy =
            proxy(dir.path(), &origin, &format!("protocol: {wants}, tls: {{ ca_path: ca.pem }}")).await?;
        let expected_status = if expected.is_some() { 200 } else { 502 };
        assert_eq!(status(&proxy).await?, expected_status, "{wants} {offers:?}");
        let head = origin.last_head();
        assert_eq!(head.as_ref().map(|head| head.version), expected, "{wants} {offers:?}");
        if expected == Some(Version::HTTP_2) {
            assert_eq!(head.unwrap().uri.scheme_str(), Some("https"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_certificate_for_the_right_name_is_believed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Origin::start_tls(certified(dir.path(), &["cart.internal"], &[])?).await?;
    std::fs::rename(dir.path().join("ca.pem"), dir.path().join("good.pem"))?;
    certified(dir.path(), &["cart.internal"], &[])?;
    for (tls, expected) in [
        ("ca_path: good.pem, server_name: cart.internal", 200),
        ("ca_path: good.pem, server_name: cart.internal, min_version: '1.3'", 200),
        ("ca_path: good.pem", 502),
        ("ca_path: good.pem, server_name: other.internal", 502),
        ("ca_path: ca.pem, server_name: cart.internal", 502),
        ("server_name: cart.internal", 502),
        ("verify: false", 200),
    ] {
        let proxy = proxy(dir.path(), &origin, &format!("tls: {{ {tls} }}")).await?;
        for _ in 0..3 {
            assert_eq!(status(&proxy).await?, expected, "{tls}");
        }
        let log = proxy.process.log();
        let said = log.lines().filter(|line| line.contains("an endpoint cannot be reached")).count();
        assert_eq!(said, usize::from(expected == 502), "said once, and not for each request:\n{log}");
        assert_eq!(log.contains("ertificate"), tls.contains("verify") || expected == 502, "{tls}: {log}");
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let failed = metrics.lines().any(|l| l.contains("kind=\"connect\"") && l.ends_with(" 3"));
        assert_eq!(failed, expected == 502, "{tls}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_and_health_is_checked_over_tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Origin::start_tls(certified(dir.path(), &["127.0.0.1"], &[])?).await?;
    let service = "tls: { ca_path: ca.pem }, health_check: { interval_ms: 100 }";
    let proxy = proxy(dir.path(), &origin, service).await?;
    for _ in 0..5 {
        assert_eq!(status(&proxy).await?, 200);
    }
    assert!(origin.resumed() >= 4, "{}", origin.resumed());
    let healthy = async || {
        let endpoint = proxy.status().await?.services[0].endpoints[0].clone();
        Ok(serde_json::to_value(endpoint.health)? == "healthy")
    };
    eventually("the endpoint is healthy", Duration::from_secs(10), healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_certificates_are_read_again_with_the_configuration() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origin = Origin::start_tls(certified(dir.path(), &["127.0.0.1"], &[])?).await?;
    let good = std::fs::read(dir.path().join("ca.pem"))?;
    certified(dir.path(), &["127.0.0.1"], &[])?;
    let proxy = proxy(dir.path(), &origin, "tls: { ca_path: ca.pem }").await?;
    assert_eq!(status(&proxy).await?, 502);
    std::fs::write(dir.path().join("ca.pem"), good)?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 200);
    assert_eq!(status(&proxy).await?, 200);
    std::fs::write(dir.path().join("ca.pem"), "nothing")?;
    let (refused, why) = proxy.ask("POST", "/reload", None).await?;
    assert_eq!(refused, 422);
    assert!(why.to_string().contains("ca.pem holds no certificate"), "{why}");
    assert_eq!(status(&proxy).await?, 200);
    Ok(())
}
