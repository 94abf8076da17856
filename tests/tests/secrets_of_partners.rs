//! Canary secrets of those that proxies and the brain speak with: clients' credentials and cookies, keys of certificates,
//! of the model and of webhooks. Each is used; none is told, logged, counted, audited, or shown to a model or a webhook.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::json;
use sha2::{Digest, Sha256};
use tests::{
    Authority, Behaviour, Brain, Issued, Load, Origin, Proxy, Reply, Scripted, assert_untold, eventually,
    files_below, proxy_config, run,
};

const SOON: Duration = Duration::from_secs(60);
const MODEL_KEY: &str = "canary-model-key-4f1d0c";
const HOOK_KEY: &str = "canary-webhook-key-77be20";
const ANCHOR_KEY: &str = "canary-anchor-key-0e9a51";
const API_KEY: &str = "canary-api-key-of-acme-c3";
const BEARER: &str = "canary-bearer-of-alice-8d";
const COOKIE: &str = "canary-session-of-alice-f2";
const BASIC: &str = "canary-basic-Zm9vOmJhcg-19";
const CLIENT_SECRET: &str = "canary-introspection-5a07";

/// What a partner was sent: the head's fields, and the body.
type Sent = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// Answers everything with `text`.
async fn partner(text: String) -> Result<(Scripted, Sent)> {
    let sent = Sent::default();
    let shared = Arc::clone(&sent);
    let server = Scripted::start(move |_, request: Request<Bytes>| {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        shared.lock().unwrap().push((request.headers().clone(), body));
        let text = text.clone();
        async move { Reply::text(text) }
    })
    .await?;
    Ok((server, sent))
}

/// A brain that asks a model about everything, since no rule speaks, and tells two webhooks.
async fn brain(dir: &Path, model: &Scripted, hook: &Scripted) -> Result<Brain> {
    std::fs::create_dir(dir.join("policies"))?;
    std::fs::write(dir.join("policies/rules.yaml"), "version: 1\nrules: []\n")?;
    for (name, secret) in [("model.key", MODEL_KEY), ("hook.key", HOOK_KEY), ("anchor.key", ANCHOR_KEY)] {
        std::fs::write(dir.join(name), secret)?;
    }
    let config = format!(
        "policies_dir: policies
advisor: {{ provider: openai, model: canned, base_url: \"http://{}\", api_key_path: model.key, send_addresses: true }}
notify: {{ url: \"http://{}/notify\", secret_path: hook.key }}
audit: {{ anchor_url: \"http://{}/anchor\", anchor_secret_path: anchor.key, anchor_every_s: 1 }}
",
        model.address, hook.address, hook.address
    );
    Brain::start_on(dir, "advisory", (0, 0), &config).await
}

/// A proxy that knows clients by keys and by tokens of which `server` is asked, and shows endpoints' own names.
async fn proxy(dir: &Path, origins: &[Origin], brain: &Brain, server: &Scripted) -> Result<Proxy> {
    let hash = hex::encode(Sha256::digest(API_KEY));
    std::fs::write(dir.join("client.secret"), CLIENT_SECRET)?;
    let more = format!(
        "{}security:
  authentication:
    providers:
      partners: {{ api_keys: {{ keys: [ {{ name: acme, sha256: {hash} }} ] }} }}
      opaque:
        introspection: {{ url: \"http://{}/introspect\", client_id: proxy, client_secret_file: client.secret }}
routes:
  - {{ name: keys, path: {{ prefix: /keys }}, authentication: [partners], split: [ {{ service: cart }} ] }}
  - {{ name: tokens, path: {{ prefix: /tokens }}, authentication: [opaque], split: [ {{ service: cart }} ] }}
  - {{ name: rest, split: [ {{ service: cart }} ] }}
observability: {{ access_log: {{ enabled: true, path: access.log }} }}
",
        brain.ai_section(),
        server.address
    );
    Proxy::start(dir, &proxy_config(dir, origins, &more)?).await
}

/// Credentials where they belong and where they do not; what is answered.
async fn visit(proxy: &Proxy) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for path in ["/keys/a", "/tokens/a", "/open", "/keys/%zz"] {
        for (name, value) in [
            ("x-api-key", API_KEY.to_owned()),
            ("x-api-key", format!("{API_KEY}x")),
            ("authorization", format!("Bearer {BEARER}")),
            ("authorization", format!("Basic {BASIC}")),
            ("cookie", format!("session={COOKIE}")),
        ] {
            let request = reqwest::Client::new().get(format!("{}{path}", proxy.url)).header(name, value);
            let answer = request.send().await?;
            told.push(format!(
                "{path} {} {:?} {}",
                answer.status(),
                answer.headers().clone(),
                answer.text().await?
            ));
        }
    }
    for path in ["/metrics", "/status", "/v1/actions", "/reload"] {
        let method = if path == "/reload" { "POST" } else { "GET" };
        told.push(if path == "/metrics" {
            reqwest::get(format!("{}{path}", proxy.admin)).await?.text().await?
        } else {
            format!("{:?}", proxy.ask(method, path, None).await?)
        });
    }
    Ok(told)
}

/// All that the brain tells, the session of its page included; and that session's cookie.
async fn of_brain(brain: &Brain) -> Result<(Vec<String>, String)> {
    let (client, mut told) = (reqwest::Client::new(), Vec::new());
    let login = json!({ "token": brain.token()? });
    let opened = client.post(format!("{}/v1/session", brain.api)).json(&login).send().await?;
    let cookie = opened.headers().get("set-cookie").context("no cookie")?.to_str()?.to_owned();
    let pair = cookie.split(';').next().unwrap_or_default().to_owned();
    for path in ["status", "proposals", "incidents", "actions", "proxies", "audit?limit=1000", "session"] {
        let request = client.get(format!("{}/v1/{path}", brain.api)).header("cookie", &pair);
        told.push(request.send().await?.text().await?);
    }
    told.push(reqwest::get(format!("{}/metrics", brain.api)).await?.text().await?);
    let secret = pair.split_once('=').map(|(_, value)| value.to_owned()).context("an odd cookie")?;
    Ok((told, secret))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_partners_secret_is_told_logged_audited_or_shown_to_a_model() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nothing = json!({"choices": [{"message": {"content": "{\"choice\": \"abstain\"}"}}]}).to_string();
    let ((model, prompts), (hook, messages)) = (partner(nothing).await?, partner(String::new()).await?);
    let (server, asked) = partner(json!({"active": true, "sub": "alice"}).to_string()).await?;
    let origins = Origin::start_many(5).await?;
    let brain = brain(dir.path(), &model, &hook).await?;
    let proxy = proxy(dir.path(), &origins, &brain, &server).await?;
    let load = Load::start(&proxy.url, 100)?;
    load.next(1_500).await;
    let mut told = visit(&proxy).await?;
    origins[1].behave(Behaviour { failing_percent: 40, delay: Duration::ZERO, bears: 0 });
    eventually("the model is asked", SOON, || async { Ok(!prompts.lock().unwrap().is_empty()) })
        .await
        .with_context(|| brain.process.log())?;
    brain.operator(&["freeze"]).await?;
    eventually("the webhooks are told", SOON, || async {
        let texts = messages.lock().unwrap().len();
        Ok(texts >= 2)
    })
    .await?;
    told.extend(visit(&proxy).await?);
    let (of_brain, session) = of_brain(&brain).await?;
    told.extend(of_brain);

    // Each was used, where it belongs.
    let shown = |sent: &Sent, name: &str| {
        let of = |(fields, _): &(HeaderMap, String)| fields.get(name).map(|value| format!("{value:?}"));
        sent.lock().unwrap().iter().filter_map(of).collect::<String>()
    };
    assert!(shown(&prompts, "authorization").contains(MODEL_KEY));
    assert!(shown(&messages, "x-lightsout-signature").contains("sha256="));
    assert!(asked.lock().unwrap().iter().any(|(_, body)| body.contains(BEARER)), "a token was asked about");
    for sent in [&prompts, &messages] {
        told.extend(sent.lock().unwrap().iter().map(|(_, body)| body.clone()));
    }
    told.push(shown(&messages, "x-lightsout-signature"));
    told.extend([proxy.process.log(), brain.process.log()]);
    let export = ["audit", "export", "export.jsonl", "--data-dir", "brain-data"];
    assert!(run("lightsout", &export, dir.path()).await?.status.success());
    let given = |path: &Path| path.extension().is_some_and(|end| end == "key" || end == "secret");
    for path in files_below(dir.path()).iter().filter(|path| !given(path)) {
        told.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&std::fs::read(path)?)));
    }
    let all = [MODEL_KEY, HOOK_KEY, ANCHOR_KEY, API_KEY, BEARER, COOKIE, BASIC, CLIENT_SECRET, &session];
    assert_untold(&all, &told);
    Ok(())
}

/// A part of the key as the file has it.
fn canary(own: &Issued) -> &str {
    own.key_pem.lines().nth(1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_of_a_certificate_is_told_or_logged_also_where_it_is_at_fault() -> Result<()> {
    let (dir, ca) = (tempfile::tempdir()?, Authority::new(Some("mesh.local"))?);
    let (own, other) = (ca.issue("spiffe://mesh.local/gate")?, ca.issue("spiffe://mesh.local/other")?);
    own.write(dir.path(), "gate")?;
    std::fs::write(dir.path().join("ca.pem"), &ca.pem)?;
    let origins = Origin::start_many(1).await?;
    let both = "certificate: gate.pem, key: gate-key.pem";
    let text = proxy_config(dir.path(), &origins, "")?
        .replace("workers: 2", &format!("workers: 1, tls: {{ {both} }}"))
        .replace("    cart:\n", &format!("    cart:\n      tls: {{ ca_path: ca.pem, {both} }}\n"));
    let proxy = Proxy::start(dir.path(), &text).await?;
    let mut told = Vec::new();
    let key = dir.path().join("gate-key.pem");
    let broken = own.key_pem.replacen("BEGIN", "BEGUN", 1);
    let cut: String = own.key_pem.lines().take(2).map(|line| format!("{line}\n")).collect();
    for wrong in [other.key_pem.as_str(), &broken, &cut] {
        std::fs::write(&key, wrong)?;
        let (refused, why) = proxy.ask("POST", "/reload", None).await?;
        assert_eq!(refused, 422, "{why}");
        told.push(why.to_string());
        let checked =
            run("sidecar-proxy", &["validate-config", "--config", "proxy.yaml"], dir.path()).await?;
        assert!(!checked.status.success());
        told.push(String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned());
    }
    for path in ["/status", "/v1/actions"] {
        told.push(format!("{:?}", proxy.ask("GET", path, None).await?));
    }
    told.push(reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?);
    told.push(proxy.process.log());
    assert_untold(&[canary(&own), canary(&other)], &told);
    Ok(())
}
