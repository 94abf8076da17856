//! Real processes killed, and a real disk that is full, at points that a seed names: nothing that was
//! acknowledged is lost, and nothing stays half done. `CRASH_SEED=n` tries other points.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Brain, Load, Origin, Proxy, Running, binary, eventually};

const LIVES: u64 = 5;
const LEASE_MS: u64 = 2_000;
/// Generous: other tests may have the machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Numbers from a seed (xorshift64).
struct Points(u64);

impl Points {
    fn new() -> Self {
        let given = std::env::var("CRASH_SEED").ok().and_then(|text| text.parse().ok());
        Self(given.unwrap_or(20_26_u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A port that was free a moment ago: the next life of a brain must be where the last one was.
fn port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// An operator's request; `None` where no answer came.
async fn ask(api: &str, dir: &Path, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
    let token = std::fs::read_to_string(dir.join("brain-data/api.token")).ok()?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
    let sent = client.post(format!("{api}{path}")).bearer_auth(token.trim()).json(body).send().await.ok()?;
    let status = sent.status();
    Some((status, sent.json().await.ok()?))
}

fn mode() -> Value {
    json!({"mode": "autonomous", "kind": "set_algorithm"})
}

fn ejection(origin: &Origin) -> Value {
    let kind = json!({"type": "eject_endpoint", "endpoint": origin.address.to_string()});
    json!({"service": "cart", "kind": kind, "lease_ms": LEASE_MS, "reason": "to see what a crash leaves"})
}

/// The actions that a proxy holds.
async fn held(proxy: &Proxy) -> Result<Vec<String>> {
    Ok(proxy.status().await?.leases.iter().map(|l| l.receipt.id.to_string()).collect())
}

async fn until_none_is_held(proxies: &[Proxy]) -> Result<()> {
    eventually("every proxy does what its file says", PATIENCE, || async {
        for proxy in proxies {
            if !held(proxy).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// Records of people's modes in the log, which must be whole.
async fn modes_written(brain: &Brain) -> Result<u64> {
    assert!(brain.operator(&["audit", "verify"]).await?.contains("intact"));
    Ok(brain.list("/v1/audit?kind=mode&actor=operator&limit=1000").await?.len() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_killed_anywhere_loses_no_acknowledged_record_and_leaves_nothing_half_applied() -> Result<()>
{
    let (dir, mut points) = (tempfile::tempdir()?, Points::new());
    let origins = Origin::start_many(4).await?;
    let ports = (port()?, port()?);
    let mut brain = Brain::start_on(dir.path(), "autonomous", ports, "").await?;
    let proxies = brain.proxies(&origins, 2).await?;
    let _loads: Vec<Load> = proxies.iter().map(|p| Load::start(&p.url, 60)).collect::<Result<_>>()?;
    let mut acknowledged = 0;
    for life in 0..LIVES {
        eventually("the proxies are known", PATIENCE, || async {
            let known = brain.list("/v1/proxies").await?;
            let fresh = |p: &&Value| p["reachable"] == true && p["last_window_ms"].as_i64() > Some(0);
            Ok(known.iter().filter(fresh).count() == 2)
        })
        .await?;
        let sick = &origins[points.below(4) as usize];
        // Telemetry must be there first: what the guard denies for want of it is asked again.
        eventually("a person's action is taken", PATIENCE, || async {
            let answer = ask(&brain.api, dir.path(), "/v1/actions", &ejection(sick)).await;
            Ok(answer.is_some_and(|(status, body)| status == StatusCode::OK && body["verdict"] == "allow"))
        })
        .await
        .with_context(|| brain.process.log())?;
        let until = tokio::time::Instant::now() + Duration::from_millis(points.below(2_500));
        let acking = async {
            while let Some((StatusCode::OK, _)) = ask(&brain.api, dir.path(), "/v1/mode", &mode()).await {
                acknowledged += 1;
            }
        };
        tokio::select! {
            () = acking => {}
            () = tokio::time::sleep_until(until) => {}
        }
        brain.process.signal(Signal::SIGKILL)?;
        brain.process.ended().await?;
        until_none_is_held(&proxies).await.with_context(|| format!("after life {life}"))?;
        brain = Brain::start_on(dir.path(), "autonomous", ports, "").await?;
        let written = modes_written(&brain).await?;
        assert!(written >= acknowledged, "{acknowledged} were acknowledged, {written} are written");
        assert!(written <= acknowledged + life + 1, "{written} written, {acknowledged} acknowledged");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_killed_anywhere_holds_in_the_end_what_the_others_hold() -> Result<()> {
    let (dir, mut points) = (tempfile::tempdir()?, Points::new());
    let origins = Origin::start_many(4).await?;
    let brain = Brain::start(dir.path(), "autonomous").await?;
    let mut proxies = brain.proxies(&origins, 2).await?;
    let loads: Vec<Load> = proxies.iter().map(|p| Load::start(&p.url, 60)).collect::<Result<_>>()?;
    loads[0].next(120).await;
    let mut long = ejection(&origins[1]);
    long["lease_ms"] = 8_000.into();
    eventually("a person's action is taken", PATIENCE, || async {
        let answer = ask(&brain.api, dir.path(), "/v1/actions", &long).await;
        Ok(answer.is_some_and(|(status, body)| status == StatusCode::OK && body["verdict"] == "allow"))
    })
    .await?;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(points.below(2_000))).await;
        proxies[1].process.signal(Signal::SIGKILL)?;
        proxies[1].process.ended().await?;
        proxies[1] = Proxy::start_by(&dir.path().join("p2"), "proxy.yaml").await?;
        let _load = Load::start(&proxies[1].url, 60)?;
        eventually("both hold the same", PATIENCE, || async {
            let (one, other) = (held(&proxies[0]).await?, held(&proxies[1]).await?);
            Ok(one == other)
        })
        .await
        .with_context(|| brain.process.log())?;
    }
    brain.operator(&["freeze", "--revert-all"]).await?;
    until_none_is_held(&proxies).await?;
    assert!(brain.operator(&["audit", "verify"]).await?.contains("intact"));
    Ok(())
}

/// A brain whose files may not grow beyond so many KiB, and that is told so by an error, not killed.
async fn brain_with_a_small_disk(dir: &Path, kib: u64) -> Result<Running> {
    let program = binary("lightsout");
    let script = format!(
        "trap '' XFSZ; ulimit -S -f {}; exec {} brain --config brain.yaml",
        kib * 2,
        program.display()
    );
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &script]);
    Running::start_by("lightsout", command, dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_actions_loses_nothing_acknowledged_and_is_recovered_from() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Once on a large disk: the file, the tokens and the configuration are there.
    let mut first = Brain::start(dir.path(), "autonomous").await?;
    first.process.signal(Signal::SIGTERM)?;
    first.process.ended().await?;
    let process = brain_with_a_small_disk(dir.path(), 512).await?;
    let api = format!("http://{}", process.address("api"));
    let (mut acknowledged, mut refused) = (0u64, None);
    for _ in 0..2_000 {
        match ask(&api, dir.path(), "/v1/mode", &mode()).await.context("the brain is gone")? {
            (StatusCode::OK, _) => acknowledged += 1,
            (status, body) => {
                refused = Some((status, body));
                break;
            }
        }
    }
    let (status, body) = refused.context("the disk never filled")?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(acknowledged > 3, "{acknowledged}");
    let said = body.to_string();
    assert!(said.contains("audit log cannot be written"), "{said}");
    let pid = process.pid().to_string();
    let lifted = std::process::Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status()?;
    assert!(lifted.success());
    eventually("it can be written again", PATIENCE, || async {
        Ok(ask(&api, dir.path(), "/v1/mode", &mode())
            .await
            .is_some_and(|(status, _)| status == StatusCode::OK))
    })
    .await?;
    acknowledged += 1;
    let list: Value = reqwest::get(format!("{api}/v1/audit?kind=mode&limit=1000")).await?.json().await?;
    let written = list["items"].as_array().map_or(0, Vec::len) as u64;
    assert!(written >= acknowledged.min(1_000), "{acknowledged} were acknowledged, {written} are written");
    let proof: Value = reqwest::get(format!("{api}/v1/audit/verify")).await?.json().await?;
    assert_eq!(proof["ok"], true, "{proof}");
    Ok(())
}

/// A brain some of whose writes fail as those of a broken disk do: from one on, for a while.
async fn brain_on_a_broken_disk(dir: &Path, points: &mut Points) -> Result<Running> {
    let first = 40 + points.below(40);
    let when = format!("{first}..{}", first + 3 + points.below(12));
    let mut command = tokio::process::Command::new("strace");
    // -D: the brain itself is our child, not who watches it. Calls are counted by thread, and the log has one.
    command.args([
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "--seccomp-bpf",
        "-e",
        "trace=pwrite64,fdatasync,fsync",
    ]);
    command.args(["-e", &format!("inject=pwrite64,fdatasync,fsync:error=EIO:when={when}")]);
    command.arg(binary("lightsout")).args(["brain", "--config", "brain.yaml"]);
    Running::start_by("lightsout", command, dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_loses_nothing_acknowledged_and_is_recovered_from() -> Result<()> {
    let (dir, mut points) = (tempfile::tempdir()?, Points::new());
    let mut first = Brain::start(dir.path(), "autonomous").await?;
    first.process.signal(Signal::SIGTERM)?;
    first.process.ended().await?;
    let process =
        brain_on_a_broken_disk(dir.path(), &mut points).await.context("`make setup` installs strace")?;
    let api = format!("http://{}", process.address("api"));
    let (mut acknowledged, mut refused) = (0u64, 0);
    let until = tokio::time::Instant::now() + PATIENCE;
    while (refused == 0 || acknowledged < 40) && tokio::time::Instant::now() < until {
        match ask(&api, dir.path(), "/v1/mode", &mode()).await.context("the brain is gone")? {
            (StatusCode::OK, _) => acknowledged += 1,
            (StatusCode::SERVICE_UNAVAILABLE, _) => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    assert!(refused > 0, "the disk never failed: {}", process.log());
    assert!(process.log().contains("disk I/O error"), "{}", process.log());
    eventually("it can be written again", PATIENCE, || async {
        let answer = ask(&api, dir.path(), "/v1/mode", &mode()).await;
        Ok(answer.is_some_and(|(status, _)| status == StatusCode::OK))
    })
    .await
    .with_context(|| process.log())?;
    acknowledged += 1;
    let list: Value = reqwest::get(format!("{api}/v1/audit?kind=mode&limit=1000")).await?.json().await?;
    let written = list["items"].as_array().map_or(0, Vec::len) as u64;
    assert!(written >= acknowledged, "{acknowledged} were acknowledged, {written} are written");
    let proof: Value = reqwest::get(format!("{api}/v1/audit/verify")).await?.json().await?;
    assert_eq!(proof["ok"], true, "{proof}");
    Ok(())
}
