//! Canary secrets: known texts as tokens everywhere, and a search for them in all that is ever told.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;
use tests::{Load, Origin, Running, assert_untold, binary, eventually, files_below, run};
use tokio::process::Command;

const ADMIN: &str = "canary-admin-7f3c9d11aa";
const TELEMETRY: &str = "canary-telemetry-52e0b7";
const API: &str = "canary-api-90ab44ce18d2";
const ADA: &str = "canary-ada-by-environment-6b";
const CANARIES: [&str; 4] = [ADMIN, TELEMETRY, API, ADA];

/// `program`, with a credential from systemd, one from the environment, and core dumps of any size allowed.
fn command(program: &str, arguments: &str, dir: &Path) -> Command {
    let mut command = Command::new("sh");
    let line = format!("ulimit -c unlimited; exec {} {arguments}", binary(program).display());
    command.args(["-c", &line]).env("CREDENTIALS_DIRECTORY", dir.join("credentials")).env("ADA_TOKEN", ADA);
    command
}

struct Mesh {
    brain: Running,
    proxy: Running,
    origin: Origin,
    _load: Load,
}

async fn mesh(dir: &Path) -> Result<Mesh> {
    std::fs::create_dir(dir.join("credentials"))?;
    for (name, token) in [("admin", ADMIN), ("telemetry", TELEMETRY)] {
        std::fs::write(dir.join("credentials").join(name), format!("{token}\n"))?;
    }
    std::fs::write(dir.join("api.token"), API)?;
    std::fs::write(
        dir.join("brain.yaml"),
        "api: { port: 0, token_path: api.token }\n\
         telemetry: { port: 0, token_path: \"credential:telemetry\" }\n\
         mesh_token_path: \"credential:admin\"\ndata_dir: brain-data\n\
         people: [ { name: ada, token_path: \"env:ADA_TOKEN\" } ]\n",
    )?;
    let brain =
        Running::start_by("lightsout", command("lightsout", "brain --config brain.yaml", dir), dir).await?;
    let origin = Origin::start_many(1).await?.pop().context("no origin")?;
    std::fs::write(
        dir.join("proxy.yaml"),
        format!(
            "server: {{ bind_address: 127.0.0.1, port: 0 }}\n\
             admin: {{ port: 0, token_path: \"credential:admin\", state_path: proxy.state }}\n\
             upstream: {{ services: {{ cart: {{ endpoints: [ {{ address: 127.0.0.1, port: {} }} ] }} }} }}\n\
             ai: {{ enabled: true, brain: \"http://{}\", token_path: \"credential:telemetry\", proxy_id: p1 }}\n",
            origin.address.port(),
            brain.address("telemetry"),
        ),
    )?;
    let start = command("sidecar-proxy", "start --config proxy.yaml", dir);
    let proxy = Running::start_by("sidecar-proxy", start, dir).await?;
    let load = Load::start(&format!("http://{}", proxy.address("main")), 50)?;
    Ok(Mesh { brain, proxy, origin, _load: load })
}

/// What `url` answers to this request, its fields included.
async fn told(method: &str, url: &str, token: Option<&str>, body: &str) -> Result<String> {
    let request =
        reqwest::Client::new().request(method.parse()?, url).header("content-type", "application/json");
    let request = token.into_iter().fold(request.body(body.to_owned()), |r, token| r.bearer_auth(token));
    let answer = request.send().await?;
    let fields = format!("{} {:?}", answer.status(), answer.headers());
    Ok(format!("{url}: {fields} {}", answer.text().await?))
}

/// Everything that the two listeners tell to those who ask, rightly or wrongly.
async fn everything_told(mesh: &Mesh) -> Result<Vec<String>> {
    let (api, admin) =
        (format!("http://{}", mesh.brain.address("api")), format!("http://{}", mesh.proxy.address("admin")));
    let mut all = Vec::new();
    for path in [
        "/metrics",
        "/openapi.json",
        "/v1/status",
        "/v1/services",
        "/v1/topology",
        "/v1/incidents",
        "/v1/proposals",
        "/v1/actions",
        "/v1/proxies",
        "/v1/autonomy",
        "/v1/audit?limit=1000",
        "/v1/session",
    ] {
        for token in [None, Some(API), Some(ADA), Some("wrong")] {
            all.push(told("GET", &format!("{api}{path}"), token, "").await?);
        }
    }
    for path in ["/metrics", "/status", "/v1/actions", "/health"] {
        for token in [None, Some(ADMIN), Some("wrong-but-long-enough")] {
            all.push(told("GET", &format!("{admin}{path}"), token, "").await?);
        }
    }
    let login = json!({ "token": ADA }).to_string();
    all.push(told("POST", &format!("{api}/v1/session"), None, &login).await?);
    // Secrets in the wrong place: as another key's value, as no JSON, in a path, as another API's token.
    for body in [json!({ "tokn": API }).to_string(), format!("{{\"token\": {API}}}"), API.to_owned()] {
        let answer = told("POST", &format!("{api}/v1/session"), None, &body).await?;
        all.push(answer);
    }
    for (url, token) in [(&api, ADMIN), (&api, TELEMETRY), (&admin, API)] {
        all.push(told("POST", &format!("{url}/v1/freeze"), Some(token), "{}").await?);
    }
    for (path, token) in [("/v1/freeze", ADA), ("/v1/unfreeze", API)] {
        all.push(told("POST", &format!("{api}{path}"), Some(token), "{}").await?);
    }
    all.push(told("POST", &format!("{admin}/reload"), Some(ADMIN), "").await?);
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_logged_counted_audited_or_dumped() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut mesh = mesh(dir.path()).await?;
    let proxies = format!("http://{}/v1/proxies", mesh.brain.address("api"));
    eventually("the proxy reports, and its status is read", Duration::from_secs(20), || async {
        let list: serde_json::Value = reqwest::get(&proxies).await?.json().await?;
        Ok(list["items"][0]["reachable"] == true)
    })
    .await?;
    let mut all = everything_told(&mesh).await?;
    let export = ["audit", "export", "export.jsonl", "--data-dir", "brain-data"];
    assert!(run("lightsout", &export, dir.path()).await?.status.success());
    assert!(!std::fs::read_to_string(dir.path().join("export.jsonl"))?.is_empty());
    for bad in [
        "api: { port: 0, token_path: \"env:NO_SUCH\" }\n",
        "api: { port: 0, token: canary-admin-7f3c9d11aa }\n",
    ] {
        std::fs::write(
            dir.path().join("bad.yml"),
            format!("data_dir: other-data\ntelemetry: {{ port: 0 }}\n{bad}"),
        )?;
        let refused = run("lightsout", &["brain", "--config", "bad.yml"], dir.path()).await?;
        assert!(!refused.status.success());
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        // A report shows the line at fault, which here holds what the writer put there.
        all.extend(bad.contains("env:").then_some(words));
    }
    for process in [&mut mesh.brain, &mut mesh.proxy] {
        process.signal(Signal::SIGABRT)?;
        let ended = process.ended().await?;
        assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32));
        assert!(!ended.core_dumped(), "a core dump was written");
        all.push(process.log());
    }
    let files = files_below(dir.path());
    let given = |path: &Path| {
        path.starts_with(dir.path().join("credentials"))
            || path.ends_with("api.token")
            || path.ends_with("bad.yml")
    };
    for path in files.iter().filter(|path| !given(path)) {
        all.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&std::fs::read(path)?)));
    }
    assert_untold(&CANARIES, &all);
    drop(mesh.origin);
    Ok(())
}
