//! The brain's API and console over https: with curl, openssl and the command line, by tokens, cookies and certificates.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{Running, curl, curl_as, eventually, keygen, run, svid};

const SOON: Duration = Duration::from_secs(30);

/// A brain at `https://localhost:PORT` that knows ada and ci by their certificates.
async fn brain(dir: &Path) -> Result<(Running, String)> {
    keygen(dir, "ca --trust-domain mesh.local --out ca").await?;
    svid(dir, "brain", " --dns localhost").await?;
    for name in ["ada", "ci", "cart"] {
        svid(dir, name, "").await?;
    }
    let config = "api: { port: 0, open_reads: false, tls: { certificate: brain/svid.pem, key: brain/svid-key.pem,\n\
        \x20 ca_path: brain/bundle.pem } }\ntelemetry: { port: 0 }\ndata_dir: brain-data\npeople:\n\
        \x20 - { name: ada, spiffe_id: \"spiffe://mesh.local/ada\" }\n\
        \x20 - { name: ci, spiffe_id: \"spiffe://mesh.local/ci\", pipeline: true }\n";
    std::fs::write(dir.join("brain.yaml"), config)?;
    let brain = Running::start("lightsout", &["brain", "--config", "brain.yaml"], dir).await?;
    let (_, port) = brain.address("api").rsplit_once(':').context("no port")?;
    let url = format!("https://localhost:{port}");
    Ok((brain, url))
}

/// What makes curl believe the mesh's authority.
const BELIEVING: [&str; 2] = ["--cacert", "brain/bundle.pem"];

/// The status and the body.
async fn ask(dir: &Path, arguments: &[&str]) -> Result<(u16, String)> {
    curl(dir, &[&BELIEVING, arguments].concat()).await
}

async fn ask_as(dir: &Path, name: &str, arguments: &[&str]) -> Result<u16> {
    Ok(curl_as(dir, name, &[&BELIEVING, arguments].concat()).await?.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_come_by_https_alone_with_a_cookie_that_goes_nowhere_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let (brain, url) = brain(dir).await?;
    assert!(curl(dir, &[&url.replace("https", "http")]).await.is_err(), "clear text is served");
    assert!(curl(dir, &[&url]).await.is_err(), "the system believes the mesh's authority");
    let (status, page) = ask(dir, &["-i", &url]).await?;
    assert_eq!(status, 200);
    assert!(page.to_lowercase().contains("strict-transport-security: max-age="), "{page}");
    let token = std::fs::read_to_string(dir.join("brain-data/api.token"))?;
    let login = json!({ "token": token.trim() }).to_string();
    let session = format!("{url}/v1/session");
    let open = ["-i", "-c", "jar", "-H", "content-type: application/json", "-d", &login, &session];
    let (status, opened) = ask(dir, &open).await?;
    assert_eq!(status, 200, "{opened}");
    let cookie = opened.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("; HttpOnly"), "{cookie}");
    assert_eq!(ask(dir, &["-b", "jar", &session]).await?.0, 200);
    drop(brain);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_known_by_their_certificates_in_their_roles() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let (brain, url) = brain(dir).await?;
    let (status, freeze) = (format!("{url}/v1/status"), format!("{url}/v1/freeze"));
    assert_eq!(ask(dir, &[&status]).await?.0, 401);
    assert_eq!(ask_as(dir, "cart", &[&status]).await?, 401, "believed, and nobody");
    assert_eq!(ask_as(dir, "ci", &[&status]).await?, 200);
    assert_eq!(ask_as(dir, "ci", &["-X", "POST", &freeze]).await?, 403, "a pipeline does not freeze");
    let foreign = ["-X", "POST", "-H", "origin: https://evil.example", &freeze];
    assert_eq!(ask_as(dir, "ada", &foreign).await?, 403, "a browser shows certificates unasked");
    assert_eq!(ask_as(dir, "ada", &["-X", "POST", &freeze]).await?, 200);
    keygen(dir, "ca --trust-domain mesh.local --out other-ca").await?;
    keygen(dir, "svid --spiffe-id spiffe://mesh.local/ada --ca other-ca --out false-ada").await?;
    assert!(ask_as(dir, "false-ada", &[&status]).await.is_err(), "another authority's");
    let (_, list) = ask(
        dir,
        &["--cert", "ci/svid.pem", "--key", "ci/svid-key.pem", &format!("{url}/v1/audit?kind=frozen")],
    )
    .await?;
    let list: Value = serde_json::from_str(&list)?;
    assert_eq!(list["items"][0]["actor"], json!({ "kind": "person", "id": "ada" }), "{list}");
    drop(brain);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_https_by_token_and_by_certificate() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let (brain, url) = brain(dir).await?;
    let by_token = ["--url", &url, "--ca-file", "brain/bundle.pem", "--data-dir", "brain-data"];
    let done = run("lightsout", &[&["freeze"], &by_token[..]].concat(), dir).await?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mine = ["--certificate", "ada/svid.pem", "--key", "ada/svid-key.pem"];
    let done = run("lightsout", &[&["unfreeze"], &by_token[..4], &mine[..]].concat(), dir).await?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let doubtful = run("lightsout", &["status", "--url", &url, "--data-dir", "brain-data"], dir).await?;
    assert_eq!(doubtful.status.code(), Some(1), "nobody vouches for the brain");
    let nothing = run("lightsout", &["status", "--url", &url, "--ca-file", "brain.yaml"], dir).await?;
    assert_eq!(nothing.status.code(), Some(2), "{}", String::from_utf8_lossy(&nothing.stderr));
    let log = brain.log();
    assert!(log.contains("a handshake with the API failed"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_a_bad_one_keeps_the_last() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let (brain, url) = brain(dir).await?;
    let serial = async || {
        let line = format!(
            "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            brain.address("api")
        );
        let seen = tokio::process::Command::new("sh").args(["-c", &line]).output().await?;
        Ok::<_, anyhow::Error>(String::from_utf8(seen.stdout)?)
    };
    let before = serial().await?;
    assert!(before.starts_with("serial="), "{before}");
    svid(dir, "brain", " --dns localhost --renew").await?;
    eventually("the new one is shown", SOON, || async { Ok(serial().await? != before) }).await?;
    std::fs::write(dir.join("brain/svid-key.pem"), "no key")?;
    eventually("the bad one is told of", SOON, || async {
        assert_eq!(ask(dir, &[&format!("{url}/health")]).await?.0, 200);
        Ok(brain.log().contains("the last good certificates stay"))
    })
    .await
}
