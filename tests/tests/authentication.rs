//! Who asks, over real processes: tokens, keys, and what endpoints are told of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{Origin, Proxy, Reply, Scripted, eventually, proxy_config};

/// Signs tokens with one key.
struct Issuer {
    key: EcdsaKeyPair,
    id: &'static str,
}

impl Issuer {
    fn new(id: &'static str) -> Self {
        Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), id }
    }

    fn jwks(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y}]})
            .to_string()
    }

    fn token(&self, change: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"iss": "https://idp.test", "aud": "shop", "sub": "alice", "exp": now + 300,
                                "groups": ["admin", "ops"], "email": "a@b.test"});
        change.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        self.sign(&json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}), &claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

const ROUTES: &str = "routes:\n  - { name: open, path: { prefix: /open }, authentication: [], split: [ { service: cart } ] }\n  \
                      - { name: keys, path: { prefix: /keys }, authentication: [partners], split: [ { service: cart } ] }\n  \
                      - { name: either, path: { prefix: /either }, authentication: [idp, partners], split: [ { service: cart } ] }\n  \
                      - { name: rest, split: [ { service: cart } ] }\n";

/// `keys` says where the keys of `idp` are.
fn config(keys: &str) -> String {
    let hash = hex::encode(Sha256::digest("partner-key-1"));
    format!(
        "security:\n  authentication:\n    required: [idp]\n    providers:\n      idp:\n        \
         jwt: {{ issuer: \"https://idp.test\", audiences: [shop], algorithms: [ES256], {keys} }}\n        \
         claims_to_headers: {{ sub: x-user, groups: x-groups }}\n      partners:\n        forward: false\n        \
         api_keys: {{ keys: [ {{ name: acme, sha256: {hash} }} ] }}\n        claims_to_headers: {{ sub: x-partner }}\n{ROUTES}"
    )
}

async fn proxy(keys: &str, more: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let text = proxy_config(dir.path(), &origins, &format!("{}{more}", config(keys)))?;
    Ok((Proxy::start(dir.path(), &text).await?, origins, dir))
}

async fn with_file(issuer: &Issuer, more: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let keys = tempfile::tempdir()?;
    let path = keys.path().join("jwks.json");
    std::fs::write(&path, issuer.jwks())?;
    proxy(&format!("jwks_file: {}", path.display()), more).await
}

async fn ask(url: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let mut request = Client::new().get(format!("{url}{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?)
}

fn challenges(response: &Response) -> Vec<&str> {
    response.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_wants_the_credential_that_it_says_and_endpoints_are_told_who_asks() -> Result<()> {
    let issuer = Issuer::new("k1");
    let (proxy, origins, _dir) = with_file(&issuer, "").await?;
    let bearer = format!("Bearer {}", issuer.token(json!({})));
    let token = ("authorization", bearer.as_str());
    let lie = [("x-user", "root"), ("x-partner", "root"), ("x-groups", "root")];
    let last = || origins[0].last_head().unwrap().headers;
    ensure!(ask(&proxy.url, "/", &[&[token][..], &lie].concat()).await?.status() == 200);
    ensure!((last()["x-user"] == "alice", last()["x-groups"] == "admin,ops") == (true, true), "{:?}", last());
    ensure!(!last().contains_key("x-partner") && last()["authorization"] == bearer, "{:?}", last());
    ensure!(ask(&proxy.url, "/open", &lie).await?.status() == 200);
    ensure!(!last().contains_key("x-user") && !last().contains_key("x-groups"), "{:?}", last());
    let connection = [token, ("connection", "x-user")];
    ensure!(ask(&proxy.url, "/", &connection).await?.status() == 200);
    ensure!(last()["x-user"] == "alice", "Connection takes nothing away of what the proxy says");
    let key = ("x-api-key", "partner-key-1");
    ensure!(ask(&proxy.url, "/keys", &[key]).await?.status() == 200);
    ensure!(last()["x-partner"] == "acme" && !last().contains_key("x-api-key"), "{:?}", last());
    for fields in [&[token][..], &[key]] {
        ensure!(ask(&proxy.url, "/either", fields).await?.status() == 200, "{fields:?}");
    }
    let before = origins[0].requests();
    for (path, fields) in [
        ("/", &[][..]),
        ("/", &[key]),
        ("/keys", &[token]),
        ("/keys", &[("x-api-key", "partner-key-2")]),
        ("/keys", &[key, key]),
        ("/", &[token, token]),
        ("/open/../keys", &[]),
        ("/either", &[("authorization", "Basic YTpi")]),
    ] {
        ensure!(ask(&proxy.url, path, fields).await?.status() == 401, "{path} {fields:?}");
    }
    ensure!(origins[0].requests() == before, "no endpoint was asked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_how_to_be_known_and_not_what_was_wrong() -> Result<()> {
    let (issuer, stranger) = (Issuer::new("k1"), Issuer::new("k1"));
    let (proxy, _origins, _dir) = with_file(&issuer, "").await?;
    let nothing = ask(&proxy.url, "/either", &[]).await?;
    ensure!(nothing.status() == 401);
    ensure!(
        challenges(&nothing) == ["Bearer realm=\"idp\"", "ApiKey realm=\"partners\", header=\"x-api-key\""],
        "{nothing:?}"
    );
    let mut answers = Vec::new();
    let none = issuer.sign(&json!({"alg": "none"}), &json!({"sub": "alice"}));
    for bad in [
        issuer.token(json!({"exp": 1})),
        issuer.token(json!({"aud": "other"})),
        issuer.token(json!({"iss": "https://evil.test"})),
        issuer.token(json!({"sub": 7})),
        stranger.token(json!({})),
        none.rsplit_once('.').unwrap().0.to_owned() + ".",
        issuer.sign(&json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.test"}), &json!({})),
        "nonsense".to_owned(),
        "a".repeat(20_000),
    ] {
        let refused = ask(&proxy.url, "/", &[("authorization", &format!("Bearer {bad}"))]).await?;
        ensure!(refused.status() == 401, "{bad}");
        ensure!(challenges(&refused) == ["Bearer realm=\"idp\", error=\"invalid_token\""], "{refused:?}");
        answers.push(refused.text().await?);
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "all read the same: {answers:?}");
    let call =
        Client::new().post(format!("{}/shop.Cart/Add", proxy.url)).header("content-type", "application/grpc");
    let refused = call.body("").send().await?;
    ensure!(refused.status() == 200 && refused.headers()["grpc-status"] == "16", "{refused:?}");
    ensure!(!proxy.process.log().contains("nonsense"), "credentials are not logged");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    ensure!(metrics.contains("proxy_requests_refused_total{reason=\"unauthenticated\"} 11\n"), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_limited_by_who_they_are_and_not_by_where_they_come_from() -> Result<()> {
    let issuer = Issuer::new("k1");
    let limit = "rate_limit: { rules: [ { key: user, requests: 2, per: hour } ] }\n";
    let (proxy, _origins, _dir) = with_file(&issuer, limit).await?;
    let (alice, bob) = (issuer.token(json!({})), issuer.token(json!({"sub": "bob"})));
    let mut statuses = Vec::new();
    for token in [&alice, &alice, &alice, &bob] {
        let answer = ask(&proxy.url, "/", &[("authorization", &format!("Bearer {token}"))]).await?;
        statuses.push(answer.status().as_u16());
    }
    ensure!(statuses == [200, 200, 429, 200], "{statuses:?}");
    Ok(())
}

/// A key server that answers with the keys of one of two issuers, or not at all.
async fn key_server(first: String, second: String) -> Result<(Scripted, Arc<AtomicU64>, Arc<AtomicBool>)> {
    let (which, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (of, off) = (Arc::clone(&which), Arc::clone(&down));
    let server = Scripted::start(move |_, _| {
        let keys = if of.load(Ordering::Relaxed) == 0 { first.clone() } else { second.clone() };
        let down = off.load(Ordering::Relaxed);
        async move { if down { Reply::status(503) } else { Reply::text(keys) } }
    })
    .await?;
    Ok((server, which, down))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_rotate_and_hold_on_when_their_server_is_down() -> Result<()> {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let (server, which, down) = key_server(old.jwks(), new.jwks()).await?;
    let keys = format!("jwks_url: \"http://{}/keys\"", server.address);
    let (proxy, _origins, _dir) = proxy(&keys, "").await?;
    let status = |token: String| {
        let url = proxy.url.clone();
        async move {
            let answer = ask(&url, "/", &[("authorization", &format!("Bearer {token}"))]).await?;
            Ok::<u16, anyhow::Error>(answer.status().as_u16())
        }
    };
    ensure!(status(old.token(json!({}))).await? == 200, "the first request waits for the keys");
    which.store(1, Ordering::Relaxed);
    eventually("a token of the new key passes", Duration::from_secs(15), || async {
        Ok(status(new.token(json!({}))).await? == 200)
    })
    .await?;
    ensure!(status(old.token(json!({}))).await? == 401, "the old key is gone");
    let asked = server.requests();
    for n in 0..50 {
        let made_up = new.sign(&json!({"alg": "ES256", "kid": format!("made-up-{n}")}), &json!({}));
        ensure!(status(made_up).await? == 401);
    }
    ensure!(server.requests() <= asked + 2, "made-up key ids cost the key server nothing");
    down.store(true, Ordering::Relaxed);
    ensure!(status(new.token(json!({}))).await? == 200, "what is known holds on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_judged_is_told_to_come_back_and_not_that_the_token_is_bad() -> Result<()> {
    let issuer = Issuer::new("k1");
    let (server, _which, down) = key_server(issuer.jwks(), String::new()).await?;
    down.store(true, Ordering::Relaxed);
    let (proxy, origins, _dir) = proxy(&format!("jwks_url: \"http://{}/keys\"", server.address), "").await?;
    let bearer = format!("Bearer {}", issuer.token(json!({})));
    let refused = ask(&proxy.url, "/", &[("authorization", &bearer)]).await?;
    ensure!(refused.status() == 503 && refused.headers().contains_key("retry-after"), "{refused:?}");
    ensure!(ask(&proxy.url, "/", &[]).await?.status() == 401, "who shows nothing is told to");
    ensure!(origins[0].requests() == 0, "nobody passes unseen");
    down.store(false, Ordering::Relaxed);
    eventually("the keys are there", Duration::from_secs(20), || async {
        Ok(ask(&proxy.url, "/", &[("authorization", &bearer)]).await?.status() == 200)
    })
    .await
}
