//! The brain's API and the proxy's admin listener against those who should not come, with curl as they would use it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::{Brain, Origin, Proxy, curl, eventually, proxy_config, run};

async fn token_of(dir: &Path, name: &str, role: &str) -> Result<String> {
    let add = ["token", "add", "--name", name, "--role", role, "--data-dir", "brain-data"];
    let made = run("lightsout", &add, dir).await?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_used_in_its_role_kept_as_a_digest_and_revoked_while_the_brain_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let token = token_of(dir.path(), "ana", "approver").await?;
    assert_eq!(token.len(), 64);
    for entry in std::fs::read_dir(dir.path().join("brain-data"))? {
        let kept = std::fs::read(entry?.path())?;
        assert!(!kept.windows(64).any(|part| part == token.as_bytes()), "the token itself is kept");
    }
    let shown = format!("authorization: Bearer {token}");
    let (freeze, who) = (format!("{}/v1/freeze", brain.api), format!("{}/v1/session", brain.api));
    eventually("the brain knows the token", Duration::from_secs(15), || async {
        Ok(curl(dir.path(), &["-H", &shown, &who]).await?.0 == 200)
    })
    .await?;
    let (_, view) = curl(dir.path(), &["-H", &shown, &who]).await?;
    let view: Value = serde_json::from_str(&view)?;
    assert_eq!((&view["name"], &view["role"]), (&"ana".into(), &"approver".into()));
    assert_eq!(curl(dir.path(), &["-X", "POST", "-H", &shown, &freeze]).await?.0, 403);
    let digest = "{\"digest\":\"x\"}";
    let approve = format!("{}/v1/proposals/prop-1/approve", brain.api);
    let json = "content-type: application/json";
    assert_eq!(curl(dir.path(), &["-H", &shown, "-H", json, "-d", digest, &approve]).await?.0, 404);
    let revoked =
        run("lightsout", &["token", "revoke", "ana", "--data-dir", "brain-data"], dir.path()).await?;
    assert!(revoked.status.success());
    eventually("the token is forgotten", Duration::from_secs(15), || async {
        Ok(curl(dir.path(), &["-H", &shown, &who]).await?.0 == 401)
    })
    .await?;
    assert!(!brain.process.log().contains(&token));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_writes_with_its_csrf_word_and_loses_the_session_with_the_token() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let token = token_of(dir.path(), "olga", "operator").await?;
    let (session, freeze) = (format!("{}/v1/session", brain.api), format!("{}/v1/freeze", brain.api));
    let login = format!("{{\"token\":\"{token}\"}}");
    let open = ["-c", "jar", "-H", "content-type: application/json", "-d", &login, &session];
    eventually("the browser is let in", Duration::from_secs(15), || async {
        Ok(curl(dir.path(), &open).await?.0 == 200)
    })
    .await?;
    let (_, view) = curl(dir.path(), &["-b", "jar", &session]).await?;
    let view: Value = serde_json::from_str(&view)?;
    let csrf = format!("x-csrf-token: {}", view["csrf"].as_str().context("no word")?);
    assert!(std::fs::read_to_string(dir.path().join("jar"))?.contains("#HttpOnly_127.0.0.1"));
    let post = ["-X", "POST", "-b", "jar", &freeze];
    assert_eq!(curl(dir.path(), &post).await?.0, 403);
    assert_eq!(curl(dir.path(), &[&["-H", &csrf], &post[..]].concat()).await?.0, 200);
    let other = ["-H", &csrf, "-H", "origin: http://evil.example"];
    assert_eq!(curl(dir.path(), &[&other, &post[..]].concat()).await?.0, 403);
    run("lightsout", &["token", "revoke", "olga", "--data-dir", "brain-data"], dir.path()).await?;
    eventually("the session is over", Duration::from_secs(15), || async {
        Ok(curl(dir.path(), &["-b", "jar", &session]).await?.0 == 401)
    })
    .await?;
    let frozen = brain.list("/v1/audit?kind=frozen").await?;
    assert_eq!(frozen[0]["actor"], serde_json::json!({ "kind": "person", "id": "olga" }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rebound_names_and_guessers_are_turned_away_by_brain_and_proxy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    for (url, write) in [(&brain.api, "/v1/freeze"), (&proxy.admin, "/freeze")] {
        for path in ["/health", "/metrics", write] {
            let at = format!("{url}{path}");
            assert_eq!(curl(dir.path(), &["-H", "host: evil.example:7070", &at]).await?.0, 421, "{at}");
        }
        assert_eq!(curl(dir.path(), &["-H", "host: localhost:1", &format!("{url}/health")]).await?.0, 200);
        let (write, mut waits) = (format!("{url}{write}"), 0);
        for _ in 0..30 {
            let guess = ["-X", "POST", "-H", "authorization: Bearer 0123456789abcdef", &write];
            waits += usize::from(curl(dir.path(), &guess).await?.0 == 429);
        }
        assert!(waits > 0, "{write}: nobody was told to wait");
    }
    // Everybody on a machine shares its loopback address: the one who has the token is still let in.
    assert_eq!(proxy.ask("POST", "/freeze", None).await?.0, 200);
    brain.operator(&["freeze"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_reads_are_closed_nothing_is_told_without_a_token() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("brain-data"))?;
    std::fs::write(
        dir.path().join("closed.yaml"),
        "api: { port: 0, open_reads: false }\ntelemetry: { port: 0 }\ndata_dir: brain-data\n",
    )?;
    let process =
        tests::Running::start("lightsout", &["brain", "--config", "closed.yaml"], dir.path()).await?;
    let api = format!("http://{}", process.address("api"));
    for path in ["status", "services", "incidents", "proposals", "actions", "proxies", "audit", "events"] {
        assert_eq!(curl(dir.path(), &[&format!("{api}/v1/{path}")]).await?.0, 401, "{path}");
    }
    for path in ["/", "/health", "/ready"] {
        assert_eq!(curl(dir.path(), &[&format!("{api}{path}")]).await?.0, 200, "{path}");
    }
    let status = ["status", "--url", &api, "--data-dir", "brain-data"];
    assert!(run("lightsout", &status, dir.path()).await?.status.success());
    Ok(())
}

/// An event stream that curl reads into `file` until it ends.
fn stream(dir: &Path, url: &str, file: &str, shown: &[&str]) -> Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new("curl");
    command.args(["-sN", "--noproxy", "*", "-m", "120", "-o", file]).args(shown).arg(url).current_dir(dir);
    Ok(command.kill_on_drop(true).spawn()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_with_the_token_or_the_session_that_opened_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    std::fs::create_dir(dir.join("brain-data"))?;
    let config = "api: { port: 0, open_reads: false }\ntelemetry: { port: 0 }\ndata_dir: brain-data\n";
    std::fs::write(dir.join("closed.yaml"), config)?;
    let (ana, bob) = (token_of(dir, "ana", "viewer").await?, token_of(dir, "bob", "viewer").await?);
    let brain = tests::Running::start("lightsout", &["brain", "--config", "closed.yaml"], dir).await?;
    let api = format!("http://{}", brain.address("api"));
    let (events, session) = (format!("{api}/v1/events?picture=true"), format!("{api}/v1/session"));
    let login = |token: &str| format!("{{\"token\":\"{token}\"}}");
    let (anas, bobs) = (login(&ana), login(&bob));
    let json = "content-type: application/json";
    for (jar, login) in [("anas", &anas), ("bobs", &bobs)] {
        assert_eq!(curl(dir, &["-c", jar, "-H", json, "-d", login, &session]).await?.0, 200);
    }
    let shown = format!("authorization: Bearer {ana}");
    let mut by_token = stream(dir, &events, "by-token", &["-H", &shown])?;
    let mut by_session = stream(dir, &events, "by-session", &["-b", "anas"])?;
    let mut other = stream(dir, &events, "other", &["-b", "bobs"])?;
    let files = ["by-token", "by-session", "other"];
    eventually("all three show the picture", Duration::from_secs(20), || async {
        let told = |file| std::fs::read_to_string(dir.join(file)).unwrap_or_default().contains("picture");
        Ok(files.into_iter().all(told))
    })
    .await?;
    let revoked = run("lightsout", &["token", "revoke", "ana", "--data-dir", "brain-data"], dir).await?;
    assert!(revoked.status.success());
    for gone in [&mut by_token, &mut by_session] {
        let ended = tokio::time::timeout(Duration::from_secs(30), gone.wait()).await??;
        assert_eq!(ended.code(), Some(0), "the stream ends in good order");
    }
    assert!(other.try_wait()?.is_none(), "another's stream goes on");
    let (_, view) = curl(dir, &["-b", "bobs", &session]).await?;
    let view: Value = serde_json::from_str(&view)?;
    let csrf = format!("x-csrf-token: {}", view["csrf"].as_str().context("no word")?);
    assert_eq!(curl(dir, &["-X", "DELETE", "-b", "bobs", "-H", &csrf, &session]).await?.0, 204);
    let ended = tokio::time::timeout(Duration::from_secs(30), other.wait()).await??;
    assert_eq!(ended.code(), Some(0), "logging out ends it");
    Ok(())
}
