//! Identities that `keygen` makes: shown to endpoints, asked of them, and renewed under load.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tests::{Load, Origin, Proxy, admin_token, eventually, run};

const SOON: Duration = Duration::from_secs(20);
const CA: &[&str] = &["keygen", "ca", "--trust-domain", "mesh.local", "--out", "ca"];

async fn keygen(dir: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = run("sidecar-proxy", arguments, dir).await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

async fn svid(dir: &Path, name: &str, more: &[&str]) -> Result<(Option<i32>, String)> {
    let id = format!("spiffe://mesh.local/{name}");
    keygen(dir, &[&["keygen", "svid", "--spiffe-id", &id, "--ca", "ca", "--out", name][..], more].concat())
        .await
}

/// A proxy; `server` and `service` are more keys of these sections.
async fn proxy(dir: &Path, name: &str, port: u16, server: &str, service: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0{server} }}
admin: {{ port: 0, token_path: mesh.token, state_path: {name}.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ]{service} }} }} }}
"
    );
    std::fs::write(dir.join(format!("{name}.yaml")), config)?;
    Proxy::start_by(dir, &format!("{name}.yaml")).await
}

const STRICT: &str = ", tls: { certificate: cart/svid.pem, key: cart/svid-key.pem,
  client_auth: { mode: strict, ca_path: cart/bundle.pem, allowed: [ spiffe://mesh.local/web ] } }";

fn of_web(spiffe_id: &str) -> String {
    format!(
        ", tls: {{ ca_path: web/bundle.pem, certificate: web/svid.pem, key: web/svid-key.pem, spiffe_id: '{spiffe_id}' }}"
    )
}

/// Two workloads' proxies, one before the other: a client speaks to the first in clear text.
async fn two(dir: &Path, origin: &Origin, spiffe_id: &str) -> Result<(Proxy, Proxy)> {
    keygen(dir, CA).await?;
    for name in ["cart", "web"] {
        assert_eq!(svid(dir, name, &[]).await?.0, Some(0));
    }
    let cart = proxy(dir, "cart", origin.address.port(), STRICT, "").await?;
    let port = cart.process.address("main").rsplit_once(':').unwrap().1.parse()?;
    let web = proxy(dir, "web", port, "", &of_web(spiffe_id)).await?;
    Ok((cart, web))
}

#[tokio::test(flavor = "multi_thread")]
async fn keygen_makes_what_openssl_verifies_and_replaces_nothing_unasked() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (code, said) = keygen(dir.path(), CA).await?;
    assert_eq!((code, said.contains("made ca/ca.pem")), (Some(0), true), "{said}");
    let (code, said) = svid(dir.path(), "payments", &["--ttl", "1h", "--dns", "localhost"]).await?;
    assert_eq!((code, said.contains("valid until 20")), (Some(0), true), "{said}");
    for file in ["ca/ca.pem", "ca/ca-key.pem", "payments/svid.pem", "payments/svid-key.pem"] {
        let mode = std::fs::metadata(dir.path().join(file))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(!said.contains("PRIVATE"), "{said}");
    let openssl = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("openssl").args(arguments).current_dir(dir.path()).output()?;
        Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
    };
    let verified = openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-CAfile",
        "ca/ca.pem",
        "payments/svid.pem",
    ])?;
    assert_eq!(verified.trim(), "payments/svid.pem: OK");
    let shown = openssl(&["x509", "-in", "payments/svid.pem", "-noout", "-text"])?;
    for part in ["URI:spiffe://mesh.local/payments", "prime256v1", "Digital Signature", "DNS:localhost"] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    let before = std::fs::read(dir.path().join("ca/ca-key.pem"))?;
    for refused in [keygen(dir.path(), CA).await?, svid(dir.path(), "payments", &[]).await?] {
        assert_eq!((refused.0, refused.1.contains("is there already")), (Some(2), true), "{refused:?}");
    }
    assert_eq!(std::fs::read(dir.path().join("ca/ca-key.pem"))?, before);
    assert_eq!(svid(dir.path(), "payments", &["--renew"]).await?.0, Some(0));
    let foreign = &["keygen", "svid", "--spiffe-id", "spiffe://evil.local/a", "--ca", "ca", "--out", "evil"];
    let (code, why) = keygen(dir.path(), foreign).await?;
    assert_eq!((code, why.contains("not of this authority's trust domain")), (Some(2), true), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proxies_know_each_other_by_their_identities() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let (_cart, web) = two(dir.path(), &origin, "spiffe://mesh.local/cart").await?;
    assert_eq!(reqwest::get(&web.url).await?.status(), 200);
    let head = origin.last_head().unwrap();
    assert_eq!(head.headers["x-lightsout-client-id"], "spiffe://mesh.local/web");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_another_workload_is_not_asked() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let (_cart, web) = two(dir.path(), &origin, "spiffe://mesh.local/till/*").await?;
    assert_eq!(reqwest::get(&web.url).await?.status(), 502);
    let log = web.process.log();
    assert!(log.contains("the endpoint is spiffe://mesh.local/cart, which is not expected"), "{log}");
    assert_eq!(origin.requests(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_are_renewed_under_load_without_a_failed_request() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    let (cart, web) = two(dir.path(), &origin, "spiffe://mesh.local/cart").await?;
    let load = Load::start(&web.url, 200)?;
    load.next(100).await;
    for (name, proxy) in [("cart", &cart), ("web", &web)] {
        for _ in 0..3 {
            let before = reloads(proxy).await?;
            assert_eq!(svid(dir.path(), name, &["--renew", "--ttl", "2h"]).await?.0, Some(0));
            let taken = async || Ok(reloads(proxy).await? != before);
            eventually("the new certificate is in force", SOON, taken).await?;
            load.next(50).await;
        }
    }
    let tally = load.tally();
    assert_eq!((tally.failed, tally.requests > 300), (0, true), "{tally:?}");
    Ok(())
}

/// How often files were read and put in force.
async fn reloads(proxy: &Proxy) -> Result<String> {
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let told = |line: &&str| line.starts_with("proxy_config_reloads_total{result=\"taken\"}");
    Ok(metrics.lines().filter(told).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_end_is_told() -> Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, Origin::start().await?);
    keygen(dir.path(), CA).await?;
    for name in ["cart", "web"] {
        svid(dir.path(), name, &["--ttl", "2s"]).await?;
    }
    let proxy =
        proxy(dir.path(), "cart", origin.address.port(), STRICT, &of_web("spiffe://mesh.local/a")).await?;
    let log = async || Ok(proxy.process.log().matches("has expired").count() >= 2);
    eventually("both certificates that have expired are told", SOON, log).await?;
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let of = |file: &str| {
        metrics.lines().find(|l| l.starts_with("proxy_certificate_expiry_seconds") && l.contains(file))
    };
    let left = |file: &str| of(file).unwrap().rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    assert!(left("cart/svid.pem") < 0.0 && left("web/svid.pem") < 0.0, "{metrics}");
    assert!(left("cart/bundle.pem") > 86_400.0, "{metrics}");
    Ok(())
}
