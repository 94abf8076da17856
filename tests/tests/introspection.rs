//! Tokens that say nothing by themselves, and certificates as credentials, over real processes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use http::HeaderMap;
use reqwest::{Client, Response};
use serde_json::json;
use tests::{Authority, Origin, Proxy, Reply, Scripted, TlsClient, eventually, proxy_config};

/// An authorization server: what it says of a token is the token's name.
async fn server() -> Result<(Scripted, Arc<AtomicBool>, Arc<AtomicBool>)> {
    let (down, revoked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (off, back) = (Arc::clone(&down), Arc::clone(&revoked));
    let server = Scripted::start(move |_, request| {
        let form = String::from_utf8_lossy(request.body()).into_owned();
        let known = request.headers()["authorization"] == "Basic cHJveHk6cyUzQWNyZXQ=";
        let kind = request.headers()["content-type"] == "application/x-www-form-urlencoded";
        let (off, back) = (off.load(Ordering::Relaxed), back.load(Ordering::Relaxed));
        async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            if off || !known || !kind || request.method() != "POST" {
                return Reply::status(503);
            }
            let token =
                form.strip_prefix("token=").and_then(|rest| rest.split('&').next()).unwrap_or_default();
            let of = |sub: &str| json!({"active": true, "sub": sub, "exp": now + 300, "scope": "read write"});
            Reply::text(match token {
                "good" => json!({"active": !back, "sub": "alice", "exp": now + 300, "scope": "read write"})
                    .to_string(),
                "a%2Bb%2Fc%3D" => of("bob").to_string(),
                "late" => json!({"active": true, "sub": "alice", "exp": now - 1}).to_string(),
                "foreign" => json!({"active": true, "sub": "alice", "aud": "other"}).to_string(),
                "nobody" => json!({"active": true}).to_string(),
                "twice" => r#"{"active":false,"active":true,"sub":"root"}"#.to_owned(),
                "words" => r#"{"active":"true","sub":"root"}"#.to_owned(),
                "huge" => format!("{{\"active\":true,\"sub\":\"root\",\"x\":\"{}\"}}", "x".repeat(100_000)),
                _ => json!({"active": false}).to_string(),
            })
        }
    })
    .await?;
    Ok((server, down, revoked))
}

async fn proxy(server: &Scripted) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    std::fs::write(dir.path().join("secret"), "s:cret\n")?;
    let more = format!(
        "security:\n  authentication:\n    required: [idp]\n    providers:\n      idp:\n        \
         introspection: {{ url: \"http://{}/introspect\", client_id: proxy, client_secret_file: secret, cache_s: 1 }}\n        \
         claims_to_headers: {{ sub: x-user }}\n",
        server.address
    );
    let text = proxy_config(dir.path(), &origins, &more)?;
    Ok((Proxy::start(dir.path(), &text).await?, origins, dir))
}

async fn ask(proxy: &Proxy, token: &str) -> Result<Response> {
    Ok(Client::new().get(&proxy.url).header("authorization", format!("Bearer {token}")).send().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_about_and_what_is_said_is_remembered_for_its_time() -> Result<()> {
    let (server, _down, revoked) = server().await?;
    let (proxy, origins, _dir) = proxy(&server).await?;
    ensure!(ask(&proxy, "good").await?.status() == 200);
    ensure!(origins[0].last_head().unwrap().headers["x-user"] == "alice");
    let asked = server.requests();
    for _ in 0..20 {
        ensure!(ask(&proxy, "good").await?.status() == 200);
    }
    ensure!(server.requests() <= asked + 5, "20 requests asked {} times", server.requests() - asked);
    ensure!(ask(&proxy, "a+b/c=").await?.status() == 200, "a token's signs are encoded");
    revoked.store(true, Ordering::Relaxed);
    eventually("a token that was taken back passes no more", Duration::from_secs(15), || async {
        Ok(ask(&proxy, "good").await?.status() == 401)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_stand_is_refused_and_what_cannot_be_judged_is_not_let_pass() -> Result<()> {
    let (server, down, _revoked) = server().await?;
    let (proxy, origins, _dir) = proxy(&server).await?;
    for bad in ["late", "nobody", "made-up", "a b", "=", "ü", &"x".repeat(9_000)] {
        let refused = ask(&proxy, bad).await?;
        ensure!(refused.status() == 401, "{bad}: {refused:?}");
        let challenge = &refused.headers()["www-authenticate"];
        ensure!(challenge == "Bearer realm=\"idp\", error=\"invalid_token\"", "{bad}: {challenge:?}");
    }
    for odd in ["twice", "words", "huge"] {
        let before = server.requests();
        // After a failure nobody is asked for a while.
        eventually("it is asked about", Duration::from_secs(15), || async {
            let refused = ask(&proxy, odd).await?;
            let later = refused.headers().contains_key("retry-after");
            ensure!(refused.status() == 503 && later, "{odd}: {refused:?}");
            Ok(server.requests() > before)
        })
        .await?;
    }
    down.store(true, Ordering::Relaxed);
    let asked = server.requests();
    for n in 0..100 {
        ensure!(ask(&proxy, &format!("new-{n}")).await?.status() == 503);
    }
    ensure!(
        server.requests() < asked + 20,
        "a server that is down is left alone: {}",
        server.requests() - asked
    );
    ensure!(origins[0].requests() == 0, "nobody passes unseen");
    ensure!(
        !proxy.process.log().contains("new-9") && !proxy.process.log().contains("cret"),
        "no credential is logged"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_who_asks_where_a_route_wants_one() -> Result<()> {
    let (dir, origin, ca) =
        (tempfile::tempdir()?, Origin::start().await?, Authority::new(Some("mesh.local"))?);
    tests::admin_token(dir.path())?;
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    ca.issue("spiffe://mesh.local/gate")?.write(dir.path(), "gate")?;
    let port = origin.address.port();
    let config = format!(
        "server: {{ bind_address: 127.0.0.1, port: 0, workers: 2, drain_ms: 0,
  tls: {{ certificate: gate.pem, key: gate-key.pem, client_auth: {{ mode: permissive, ca_path: ca.pem }} }} }}
admin: {{ port: 0, token_path: mesh.token, state_path: proxy.state }}
upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {port} }} ] }} }} }}
security:
  authentication:
    required: [mesh]
    providers:
      mesh: {{ mtls: {{ allow: [\"spiffe://mesh.local/shop/*\"] }}, claims_to_headers: {{ sub: x-workload }} }}
  authorization: {{ rules: [ {{ effect: allow, principals: [\"mesh:spiffe://mesh.local/shop/web\"] }} ] }}
"
    );
    let proxy = Proxy::start(dir.path(), &config).await?;
    let at = proxy.process.address("main");
    let status = async |own: Option<&str>| -> Result<u16> {
        let own = own.map(|id| ca.issue(id)).transpose()?;
        let client = TlsClient::new(&ca.der, own.as_ref())?;
        let lie = HeaderMap::from_iter([("x-workload".parse()?, "root".parse()?)]);
        Ok(client.get(at, "/", &lie).await?.0)
    };
    ensure!(status(Some("spiffe://mesh.local/shop/web")).await? == 200);
    ensure!(origin.last_head().unwrap().headers["x-workload"] == "spiffe://mesh.local/shop/web");
    ensure!(status(None).await? == 401, "no certificate");
    ensure!(status(Some("spiffe://mesh.local/web")).await? == 401, "another workload's");
    ensure!(status(Some("spiffe://mesh.local/shop/admin")).await? == 403, "known, and not allowed");
    ensure!(origin.requests() == 1);
    Ok(())
}
