//! Certificates that no client should be let in by: each is refused in the handshake, no endpoint hears of it,
//! and the reason is counted. The rows stand in SECURITY.md too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use tests::{Authority, Issued, Origin, Proxy, TlsClient, admin_token, eventually};

const WEB: &str = "spiffe://mesh.local/web";

struct Mesh {
    _dir: tempfile::TempDir,
    ca: Authority,
    origin: Origin,
    proxy: Proxy,
    honest: Issued,
}

/// A strict proxy that believes one authority of mesh.local, with a list of who may come.
async fn mesh(revoked: impl FnOnce(&Authority) -> Result<String>) -> Result<Mesh> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    let path: &Path = dir.path();
    admin_token(path)?;
    std::fs::write(path.join("ca.pem"), &ca.pem)?;
    std::fs::write(path.join("crl.pem"), revoked(&ca)?)?;
    ca.issue("spiffe://mesh.local/gate")?.write(path, "gate")?;
    let port = origin.address.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0, tls: {{ certificate: gate.pem,
  key: gate-key.pem, client_auth: {{ mode: strict, ca_path: ca.pem, crl_path: crl.pem,
  allowed: [ {WEB}, 'spiffe://mesh.local/shop/*', 'spiffe://evil.local/*' ] }} }} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
"
    );
    let proxy = Proxy::start(path, &config).await?;
    let honest = ca.issue(WEB)?;
    Ok(Mesh { _dir: dir, ca, origin, proxy, honest })
}

impl Mesh {
    /// The client is refused for `reason`, and an honest one is served beside.
    async fn refuses(&self, what: &str, client: &TlsClient, reason: &str) -> Result<()> {
        let address = self.proxy.process.address("main");
        let before = (self.origin.requests(), self.count(reason).await?);
        assert!(client.status(address).await.is_err(), "{what}");
        // The client hears of it before it is counted.
        let counted = async || Ok(self.count(reason).await? == before.1 + 1);
        eventually(&format!("{what} is counted as {reason}"), Duration::from_secs(10), counted).await?;
        assert_eq!(self.origin.requests(), before.0, "{what}");
        assert_eq!(TlsClient::new(&self.ca.der, Some(&self.honest))?.status(address).await?, 200);
        Ok(())
    }

    async fn refuses_certificate(&self, what: &str, shown: &Issued, reason: &str) -> Result<()> {
        self.refuses(what, &TlsClient::new(&self.ca.der, Some(shown))?, reason).await
    }

    async fn count(&self, reason: &str) -> Result<u64> {
        let metrics = reqwest::get(format!("{}/metrics", self.proxy.admin)).await?.text().await?;
        let series = format!("proxy_tls_handshake_failures_total{{reason=\"{reason}\"}} ");
        let found = metrics.lines().find_map(|line| line.strip_prefix(series.as_str()));
        Ok(found.map_or(Ok(0), str::parse)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_or_what_is_not_its_own_is_refused() -> Result<()> {
    let mesh = mesh(|ca| ca.revoke(&[])).await?;
    mesh.refuses("no certificate", &TlsClient::new(&mesh.ca.der, None)?, "no_certificate").await?;
    let stolen = (vec![mesh.honest.der.clone()], mesh.ca.issue(WEB)?.key());
    let thief = TlsClient::showing(&mesh.ca.der, Some(stolen))?;
    mesh.refuses("a certificate without its key", &thief, "bad_certificate").await?;
    let garbage = (vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])], mesh.honest.key());
    let garbage = TlsClient::showing(&mesh.ca.der, Some(garbage))?;
    mesh.refuses("what is no certificate", &garbage, "no_identity").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_nobody_believed_vouches_for_is_refused() -> Result<()> {
    let mesh = mesh(|ca| ca.revoke(&[])).await?;
    let impostor = Authority::new(Some("mesh.local"))?;
    mesh.refuses_certificate("another authority", &impostor.issue(WEB)?, "unknown_issuer").await?;
    // The leaf of an honest workload used as an authority.
    let forged = Authority::new(None)?.issue(WEB)?;
    let chain = (vec![forged.der.clone(), mesh.honest.der.clone()], forged.key());
    let chain = TlsClient::showing(&mesh.ca.der, Some(chain))?;
    mesh.refuses("a chain over a workload", &chain, "unknown_issuer").await?;
    let other = mesh.ca.issue("spiffe://evil.local/web")?;
    mesh.refuses_certificate("another trust domain than the authority's", &other, "unknown_issuer").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_not_exactly_one_workload_is_refused() -> Result<()> {
    let mesh = mesh(|ca| ca.revoke(&[])).await?;
    let long = format!("{WEB}/{}", "a".repeat(2_048));
    for (what, uris) in [
        ("no URI", &[][..]),
        ("two URIs", &[WEB, "spiffe://mesh.local/admin"]),
        ("a second URI of another scheme", &[WEB, "https://mesh.local/web"]),
        ("the same URI twice", &[WEB, WEB]),
        ("a NUL", &["spiffe://mesh.local/web\0.admin"]),
        ("a NUL at the end", &["spiffe://mesh.local/web\0"]),
        ("a wildcard", &["spiffe://mesh.local/*"]),
        ("a wildcard for the domain", &["spiffe://*/web"]),
        ("another scheme", &["https://mesh.local/web"]),
        ("a scheme in capitals", &["SPIFFE://mesh.local/web"]),
        ("a domain in capitals", &["spiffe://MESH.local/web"]),
        ("a port", &["spiffe://mesh.local:443/web"]),
        ("a user", &["spiffe://root@mesh.local/web"]),
        ("dot segments", &["spiffe://mesh.local/shop/../web"]),
        ("an escape", &["spiffe://mesh.local/%77eb"]),
        ("a query", &["spiffe://mesh.local/web?admin"]),
        ("a fragment", &["spiffe://mesh.local/web#admin"]),
        ("a slash at the end", &["spiffe://mesh.local/web/"]),
        ("no path", &["spiffe://mesh.local"]),
        ("too long", &[long.as_str()]),
    ] {
        let shown = mesh.ca.issue_odd(uris, |_| {})?;
        mesh.refuses_certificate(what, &shown, "no_identity").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_no_workloads_is_refused() -> Result<()> {
    let mesh = mesh(|ca| ca.revoke(&[])).await?;
    let ca = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signs = |params: &mut CertificateParams| params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let lists = |params: &mut CertificateParams| params.key_usages.push(KeyUsagePurpose::CrlSign);
    mesh.refuses_certificate("an authority", &mesh.ca.issue_odd(&[WEB], ca)?, "no_identity").await?;
    mesh.refuses_certificate("may sign", &mesh.ca.issue_odd(&[WEB], signs)?, "no_identity").await?;
    mesh.refuses_certificate("may revoke", &mesh.ca.issue_odd(&[WEB], lists)?, "no_identity").await?;
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let server = mesh.ca.issue_odd(&[WEB], server)?;
    mesh.refuses_certificate("only for servers", &server, "bad_certificate").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_out_of_its_time_or_revoked_is_refused() -> Result<()> {
    let mut revoked = None;
    let mesh = mesh(|ca| {
        let one = ca.issue(WEB)?;
        let list = ca.revoke(&[&one])?;
        revoked = Some(one);
        Ok(list)
    })
    .await?;
    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    let future = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2900, 1, 1);
    mesh.refuses_certificate("expired", &mesh.ca.issue_odd(&[WEB], past)?, "expired").await?;
    mesh.refuses_certificate("not yet", &mesh.ca.issue_odd(&[WEB], future)?, "not_yet_valid").await?;
    mesh.refuses_certificate("revoked", &revoked.unwrap(), "revoked").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_is_not_on_the_list_is_refused() -> Result<()> {
    let mesh = mesh(|ca| ca.revoke(&[])).await?;
    for id in ["spiffe://mesh.local/webs", "spiffe://mesh.local/web/x", "spiffe://mesh.local/shopping/a"] {
        mesh.refuses_certificate(id, &mesh.ca.issue(id)?, "not_allowed").await?;
    }
    let allowed = mesh.ca.issue("spiffe://mesh.local/shop/till")?;
    let client = TlsClient::new(&mesh.ca.der, Some(&allowed))?;
    assert_eq!(client.status(mesh.proxy.process.address("main")).await?, 200);
    Ok(())
}
