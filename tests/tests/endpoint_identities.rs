//! Certificates of endpoints that no request may go to: each is refused in the handshake, whether endpoints are known
//! by their SPIFFE id or by a host name, and one that was revoked as soon as the list says so.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use rustls::ServerConfig;
use tests::{Authority, Issued, Origin, Proxy, admin_token, eventually};

const CART: &str = "spiffe://mesh.local/cart";
const BY_ID: &str = "ca_path: ca.pem, crl_path: crl.pem, spiffe_id: 'spiffe://mesh.local/cart'";
const BY_NAME: &str = "ca_path: ca.pem, crl_path: crl.pem, server_name: cart.shop.internal";

/// One endpoint, what of it is odd, and what a request to it is answered.
type Row = (&'static str, Issued, u16);

fn serving(own: &Issued, behind: &[&Issued]) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let chain = [own].into_iter().chain(behind.iter().copied()).map(|one| one.der.clone()).collect();
    Ok(Arc::new(builder.with_no_client_auth().with_single_cert(chain, own.key())?))
}

/// A service for each endpoint, called `s0`, `s1`, …, each with these words for TLS.
async fn proxy(dir: &Path, origins: &[Origin], tls: &str) -> Result<Proxy> {
    admin_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 0, max_idle_per_endpoint: 0 }
admin: { port: 0, token_path: mesh.token, state_path: proxy.state }
circuit_breaker: { enabled: false }
upstream:
  services:
",
    );
    for (n, origin) in origins.iter().enumerate() {
        let port = origin.address.port();
        writeln!(
            text,
            "    s{n}: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ], tls: {{ {tls} }} }}"
        )?;
    }
    text.push_str("routes:\n");
    for n in 0..origins.len() {
        writeln!(text, "  - {{ name: r{n}, path: {{ exact: /{n} }}, split: [ {{ service: s{n} }} ] }}")?;
    }
    Proxy::start(dir, &text).await
}

async fn status(proxy: &Proxy, n: usize) -> Result<u16> {
    Ok(reqwest::get(format!("{}/{n}", proxy.url)).await?.status().as_u16())
}

/// Each row's endpoint is asked as the row says, and hears of nothing where it is refused.
async fn judge(ca: &Authority, rows: Vec<Row>, revoked: &[&Issued], tls: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    std::fs::write(dir.path().join("crl.pem"), ca.revoke(revoked)?)?;
    let mut origins = Vec::new();
    for (_, own, _) in &rows {
        origins.push(Origin::start_tls(serving(own, &[])?).await?);
    }
    let proxy = proxy(dir.path(), &origins, tls).await?;
    for (n, (what, _, expected)) in rows.iter().enumerate() {
        assert_eq!(status(&proxy, n).await?, *expected, "{what}: {}", proxy.process.log());
        assert_eq!(origins[n].requests(), u64::from(*expected == 200), "{what}");
    }
    Ok(())
}

fn past(params: &mut CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2024, 1, 1);
}

fn future(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2900, 1, 1);
}

fn only_for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_exactly_the_workload_that_is_meant_is_not_asked() -> Result<()> {
    let ca = Authority::new(Some("mesh.local"))?;
    let (revoked, stranger) = (ca.issue(CART)?, Authority::new(Some("mesh.local"))?);
    let odd = |uris: &[&str]| ca.issue_odd(uris, |_| {});
    let rows = vec![
        ("the workload", ca.issue(CART)?, 200),
        ("another workload", ca.issue("spiffe://mesh.local/till")?, 502),
        ("one below it", ca.issue("spiffe://mesh.local/cart/admin")?, 502),
        ("one that begins so", ca.issue("spiffe://mesh.local/carts")?, 502),
        ("another trust domain", ca.issue("spiffe://evil.local/cart")?, 502),
        ("another authority", stranger.issue(CART)?, 502),
        ("expired", ca.issue_odd(&[CART], past)?, 502),
        ("not yet valid", ca.issue_odd(&[CART], future)?, 502),
        ("only for clients", ca.issue_odd(&[CART], only_for_clients)?, 502),
        ("an authority", ca.issue_odd(&[CART], authority)?, 502),
        ("no URI", odd(&[])?, 502),
        ("two URIs", odd(&[CART, "spiffe://mesh.local/till"])?, 502),
        ("the same URI twice", odd(&[CART, CART])?, 502),
        ("a second URI of another scheme", odd(&[CART, "https://cart.internal"])?, 502),
        ("a NUL", odd(&["spiffe://mesh.local/cart\0.evil"])?, 502),
        ("a NUL at the end", odd(&["spiffe://mesh.local/cart\0"])?, 502),
        ("a wildcard", odd(&["spiffe://mesh.local/*"])?, 502),
        ("a wildcard for the domain", odd(&["spiffe://*/cart"])?, 502),
        ("capitals", odd(&["SPIFFE://mesh.local/cart"])?, 502),
        ("dot segments", odd(&["spiffe://mesh.local/till/../cart"])?, 502),
        ("an escape", odd(&["spiffe://mesh.local/%63art"])?, 502),
        ("a query", odd(&["spiffe://mesh.local/cart?x"])?, 502),
        ("revoked", revoked.clone(), 502),
    ];
    judge(&ca, rows, &[&revoked], BY_ID).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_certificate_is_not_for_the_name_is_not_asked() -> Result<()> {
    let ca = Authority::new(None)?;
    let named = |name: &'static str| {
        move |params: &mut CertificateParams| {
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        }
    };
    let with = |change: fn(&mut CertificateParams)| {
        ca.issue_odd(&[], |params| {
            named("cart.shop.internal")(params);
            change(params);
        })
    };
    let revoked = with(|_| {})?;
    let stranger = Authority::new(None)?.issue_odd(&[], named("cart.shop.internal"))?;
    let rows = vec![
        ("the name", with(|_| {})?, 200),
        ("the name in capitals", ca.issue_odd(&[], named("CART.shop.internal"))?, 200),
        ("a wildcard for one label", ca.issue_odd(&[], named("*.shop.internal"))?, 200),
        ("another name", ca.issue_odd(&[], named("till.shop.internal"))?, 502),
        ("a NUL behind the name", ca.issue_odd(&[], named("cart.shop.internal\0.evil"))?, 502),
        ("a name that ends so", ca.issue_odd(&[], named("my-cart.shop.internal"))?, 502),
        ("a wildcard for less of the name", ca.issue_odd(&[], named("*.internal"))?, 502),
        ("a wildcard for all", ca.issue_odd(&[], named("*"))?, 502),
        ("a wildcard in a label", ca.issue_odd(&[], named("c*.shop.internal"))?, 502),
        ("a wildcard for two labels", ca.issue_odd(&[], named("*.*.internal"))?, 502),
        ("no name", ca.issue_odd(&[CART], |params| drop(params.subject_alt_names.drain(..2)))?, 502),
        ("expired", with(past)?, 502),
        ("not yet valid", with(future)?, 502),
        ("only for clients", with(only_for_clients)?, 502),
        ("an authority", with(authority)?, 502),
        ("another authority", stranger, 502),
        ("revoked", revoked.clone(), 502),
    ];
    judge(&ca, rows, &[&revoked], BY_NAME).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_workload_is_no_authority_for_others() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ca = Authority::new(Some("mesh.local"))?;
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    std::fs::write(dir.path().join("crl.pem"), ca.revoke(&[])?)?;
    let forged = Authority::new(None)?.issue(CART)?;
    let origin = Origin::start_tls(serving(&forged, &[&ca.issue("spiffe://mesh.local/web")?])?).await?;
    let origins = [origin];
    let proxy = proxy(dir.path(), &origins, BY_ID).await?;
    assert_eq!((status(&proxy, 0).await?, origins[0].requests()), (502, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_revoked_is_asked_no_more_and_its_sessions_are_not_resumed() -> Result<()> {
    for tls in [BY_ID, BY_NAME] {
        let (dir, ca) = (tempfile::tempdir()?, Authority::new(Some("mesh.local"))?);
        std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
        std::fs::write(dir.path().join("crl.pem"), ca.revoke(&[])?)?;
        let name = |params: &mut CertificateParams| {
            params.subject_alt_names.push(SanType::DnsName("cart.shop.internal".try_into().unwrap()));
        };
        let own = ca.issue_odd(&[CART], name)?;
        let origins = [Origin::start_tls(serving(&own, &[])?).await?];
        let proxy = proxy(dir.path(), &origins, tls).await?;
        for _ in 0..3 {
            assert_eq!(status(&proxy, 0).await?, 200);
        }
        std::fs::write(dir.path().join("crl.pem"), ca.revoke(&[&own])?)?;
        eventually("the list is read without being asked", Duration::from_secs(20), || async {
            Ok(status(&proxy, 0).await? == 502)
        })
        .await?;
        std::fs::write(dir.path().join("crl.pem"), "nothing")?;
        let (refused, why) = proxy.ask("POST", "/reload", None).await?;
        assert_eq!(refused, 422);
        assert!(why.to_string().contains("crl.pem"), "{why}");
        assert_eq!(status(&proxy, 0).await?, 502, "the last good list holds");
    }
    Ok(())
}
