//! Whether who asks may, over real processes: rules, Cedar's policies, shadow mode, the decision in the log.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Client, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::{Origin, Proxy, eventually, proxy_config};

const ROUTES: &str = "routes:\n  - { name: admin, path: { prefix: /admin }, split: [ { service: cart } ] }\n  \
                      - { name: public, path: { prefix: /public }, authentication: [], split: [ { service: cart } ] }\n  \
                      - { name: rest, split: [ { service: cart } ] }\n\
                      observability: { access_log: { enabled: true, path: access.log, fields: [path, status, user, decision] } }\n";

fn config(authorization: &str) -> String {
    let key = |key: &str| hex::encode(Sha256::digest(key));
    format!(
        "security:\n  authentication:\n    required: [keys]\n    providers:\n      keys:\n        \
         api_keys: {{ keys: [ {{ name: alice, sha256: {} }}, {{ name: bob, sha256: {} }} ] }}\n  \
         authorization:\n{authorization}\n{ROUTES}",
        key("alice-key"),
        key("bob-key")
    )
}

async fn proxy(authorization: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let text = proxy_config(dir.path(), &origins, &config(authorization))?;
    Ok((Proxy::start(dir.path(), &text).await?, origins, dir))
}

async fn ask(url: &str, method: &str, path: &str, key: &str) -> Result<Response> {
    let request = Client::new().request(method.parse()?, format!("{url}{path}"));
    let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
    Ok(request.send().await?)
}

/// The log's lines about `path`.
async fn logged(dir: &tempfile::TempDir, path: &str) -> Result<Vec<Value>> {
    let file = dir.path().join("access.log");
    let read = || -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&file)?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["path"] == path).collect())
    };
    eventually("the log says it", Duration::from_secs(5), || async { Ok(!read()?.is_empty()) }).await?;
    read()
}

const RULES: &str = "    rules:\n      \
    - { name: readers, effect: allow, principals: [\"keys:*\"], methods: [GET, HEAD] }\n      \
    - { name: owner, effect: allow, principals: [\"keys:alice\"], routes: [admin, rest] }\n      \
    - { name: open, effect: allow, paths: [/public/*], services: [cart] }\n      \
    - { name: never, effect: deny, paths: [/admin/danger/*] }";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_that_no_rule_allows_and_a_denial_wins() -> Result<()> {
    let (proxy, origins, dir) = proxy(RULES).await?;
    let rows = [
        ("GET", "/admin/a", "alice-key", 200),
        ("POST", "/admin/a", "alice-key", 200),
        ("GET", "/admin/b", "bob-key", 200),
        ("POST", "/admin/b", "bob-key", 403),
        ("DELETE", "/x", "bob-key", 403),
        ("GET", "/admin/danger", "alice-key", 403),
        ("GET", "/admin/danger/x", "alice-key", 403),
        ("GET", "/admin/./danger//x", "alice-key", 403),
        ("GET", "/admin/%64anger/x", "alice-key", 403),
        ("GET", "/admin/dangerous", "alice-key", 200),
        ("POST", "/public/x", "", 200),
        ("POST", "/publicity", "", 401),
        ("GET", "/admin/a", "", 401),
    ];
    for (method, path, key, status) in rows {
        let answer = ask(&proxy.url, method, path, key).await?;
        ensure!(answer.status() == status, "{method} {path} {key}: {answer:?}");
    }
    let served = rows.iter().filter(|row| row.3 == 200).count() as u64;
    ensure!(origins[0].requests() == served, "what is denied reaches no endpoint");
    let lines = logged(&dir, "/admin/b").await?;
    ensure!(
        lines.iter().any(|line| line["user"] == "keys:bob" && line["decision"] == "deny:default"),
        "{lines:?}"
    );
    let lines = logged(&dir, "/admin/danger").await?;
    ensure!(lines[0]["decision"] == "deny:never", "{lines:?}");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    ensure!(
        metrics.contains("proxy_authorization_decisions_total{decision=\"deny\",mode=\"enforce\"} 6\n"),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_mode_decides_the_same_and_refuses_nobody() -> Result<()> {
    let (proxy, _origins, dir) = proxy(&format!("    mode: shadow\n{RULES}")).await?;
    ensure!(ask(&proxy.url, "POST", "/admin/b", "bob-key").await?.status() == 200);
    let lines = logged(&dir, "/admin/b").await?;
    ensure!(lines[0]["decision"] == "shadow-deny:default", "{lines:?}");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    ensure!(
        metrics.contains("proxy_authorization_decisions_total{decision=\"deny\",mode=\"shadow\"} 1\n"),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cedars_policies_decide_and_one_that_cannot_be_evaluated_denies_by_name() -> Result<()> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let folder = dir.path().join("policies");
    std::fs::create_dir(&folder)?;
    let policies = r#"
        @id("known-read") permit (principal, action in Action::"read", resource) when { principal.known };
        @id("alice-writes") permit (principal == Client::"keys:alice", action, resource == Route::"admin");
        @id("local") forbid (principal, action, resource) when { !context.ip.isLoopback() };
        @id("broken") forbid (principal, action, resource)
          when { context.path like "/over*" && 9223372036854775807 + 1 > 0 };
    "#;
    std::fs::write(folder.join("mesh.cedar"), policies)?;
    let cedar = "    cedar: { policies: policies }";
    let text = proxy_config(dir.path(), &origins, &config(cedar))?;
    let proxy = Proxy::start(dir.path(), &text).await?;
    for (method, path, key, status) in [
        ("GET", "/admin/a", "bob-key", 200),
        ("POST", "/admin/a", "bob-key", 403),
        ("POST", "/admin/a", "alice-key", 200),
        ("POST", "/x", "alice-key", 403),
        ("PURGE", "/admin/a", "alice-key", 200),
        ("GET", "/public/x", "", 403),
        ("GET", "/over", "alice-key", 403),
    ] {
        let answer = ask(&proxy.url, method, path, key).await?;
        ensure!(answer.status() == status, "{method} {path} {key}: {answer:?}");
    }
    ensure!(logged(&dir, "/over").await?[0]["decision"] == "error:broken");
    ensure!(proxy.process.log().contains("broken"), "the log says which");
    for wrong in [
        "permit (principal, action, resource) when { context.pth == \"/\" };",
        "permit (",
        "permit (principal, action == Action::\"FLY\", resource);",
    ] {
        std::fs::write(folder.join("mesh.cedar"), wrong)?;
        let (status, answer) = proxy.ask("POST", "/reload", None).await?;
        ensure!(status != 200, "{wrong}: {answer}");
    }
    ensure!(ask(&proxy.url, "GET", "/admin/a", "bob-key").await?.status() == 200, "the last good ones hold");
    std::fs::write(folder.join("mesh.cedar"), "permit (principal, action, resource);")?;
    ensure!(proxy.ask("POST", "/reload", None).await?.0 == 200);
    ensure!(ask(&proxy.url, "POST", "/x", "bob-key").await?.status() == 200);
    Ok(())
}
