//! Canaries through real proxies and a real brain, driven as a pipeline drives them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

/// Bounds wide enough for a busy machine, and evidence for a test's patience: what is good must be
/// promoted within a minute, what is bad must be far worse than these.
const QUICK: &str = "judge:\n  warm_up_ms: 2000\n  promote_e: 10\n  rollback_e: 100\n\
    \x20 errors: { tolerance: { odds: 1.25, share: 0.005 }, limit: { odds: 4, share: 0.06 } }\n\
    \x20 latency: { tolerance: 2.0, limit: 5.0, tail_limit: 8.0, floor_us: 20000 }\n";

struct Stage {
    dir: tempfile::TempDir,
    origins: Vec<Origin>,
    brain: Brain,
    proxy: Proxy,
    load: Load,
}

/// `cart` with two endpoints of v1 and one of v2, which the file gives nothing.
fn config(dir: &Path, origins: &[Origin], brain: &Brain) -> Result<String> {
    let text = proxy_config(dir, origins, &brain.ai_section())?;
    let canary = origins.last().context("no origin")?.address.port();
    Ok(text.replace(
        &format!("port: {canary}, weight: 100, version: v1"),
        &format!("port: {canary}, weight: 0, version: v2"),
    ))
}

impl Stage {
    async fn set() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let origins = Origin::start_many(3).await?;
        let brain = Brain::start_on(dir.path(), "advisory", (0, 0), "").await?;
        let proxy = Proxy::start(dir.path(), &config(dir.path(), &origins, &brain)?).await?;
        let load = Load::start(&proxy.url, 200)?;
        eventually("the brain knows the proxy", Duration::from_secs(30), || async {
            Ok(brain.list("/v1/proxies").await?.iter().any(|p| p["reachable"] == true))
        })
        .await?;
        Ok(Self { dir, origins, brain, proxy, load })
    }

    fn v2(&self) -> &Origin {
        &self.origins[2]
    }

    async fn start(&self, more: &str) -> Result<String> {
        let text = format!(
            "kind: Canary\nservice: cart\nstable: v1\ncanary: v2\nmin_bake_s: 2\nmax_duration_s: 300\n{more}{QUICK}"
        );
        std::fs::write(self.dir.path().join("canary.yaml"), text)?;
        let id = self.brain.operator(&["canary", "start", "--file", "canary.yaml"]).await?;
        Ok(id.trim().to_owned())
    }

    async fn detail(&self, id: &str) -> Result<Value> {
        Ok(reqwest::get(format!("{}/v1/canaries/{id}", self.brain.api)).await?.json().await?)
    }

    /// `canary wait`: exit code, what it says on standard output as JSON, and on standard error.
    async fn wait(&self, id: &str) -> Result<(Option<i32>, Value, String)> {
        eventually("the canary is over", Duration::from_secs(150), || async {
            let phase = self.detail(id).await?["phase"].clone();
            Ok(["promoted", "rolled_back", "undecided"].contains(&phase.as_str().unwrap_or_default()))
        })
        .await
        .with_context(|| self.brain.process.log())?;
        let output = self.lightsout(&["canary", "wait", id, "--timeout", "10s"]).await?;
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok((output.status.code(), said, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    async fn lightsout(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.brain.api, "--data-dir", "brain-data"]);
        run("lightsout", &all, self.dir.path()).await
    }

    async fn share_of_v2(&self) -> Result<f64> {
        let status = self.proxy.status().await?;
        let all: Vec<_> = status.services.into_iter().flat_map(|s| s.endpoints).collect();
        let weight = |version: &str| -> f64 {
            all.iter().filter(|e| e.version == version).map(|e| f64::from(e.weight)).sum()
        };
        Ok(weight("v2") / (weight("v1") + weight("v2")))
    }

    async fn is_rolled_back(&self, more: &str, metrics: [&str; 2]) -> Result<()> {
        let id = self.start(more).await?;
        let (code, said, why) = self.wait(&id).await?;
        assert_eq!(code, Some(3), "{said} {why}");
        assert!(metrics.iter().any(|metric| why.contains(metric)), "{why}");
        assert_eq!(
            (said["phase"].as_str(), said["reason"].as_str().map(|r| why.contains(r))),
            (Some("rolled_back"), Some(true))
        );
        assert_eq!(self.share_of_v2().await?, 0.0);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_promotes_itself_for_good() -> Result<()> {
    let stage = Stage::set().await?;
    let id = stage.start("steps: [20, 50, 100]\n").await?;
    let refused = stage.lightsout(&["canary", "start", "--file", "canary.yaml"]).await?;
    assert_eq!(refused.status.code(), Some(2), "two canaries for one service");
    let (code, said, why) = stage.wait(&id).await?;
    assert_eq!((code, said["phase"].as_str()), (Some(0), Some("promoted")), "{said} {why}");
    let record = stage.detail(&id).await?["record"].clone();
    let weights: Vec<u64> =
        record["moves"].as_array().unwrap().iter().filter_map(|m| m["weight"].as_u64()).collect();
    assert_eq!(weights, [0, 20, 50, 100, 100]);
    assert_eq!(stage.share_of_v2().await?, 1.0);
    let story = stage.brain.story().await?;
    for kind in ["canary_started", "canary_moved", "canary_looked", "canary_ended", "intent", "receipt"] {
        assert!(story.iter().any(|k| k == kind), "no {kind} in {story:?}");
    }
    assert_eq!(stage.load.tally().failed, 0);
    // What was promoted needs no brain and no lease, and is there after the proxy's death too.
    let Stage { dir, mut brain, mut proxy, .. } = stage;
    brain.process.signal(Signal::SIGKILL)?;
    brain.process.ended().await?;
    proxy.process.signal(Signal::SIGKILL)?;
    proxy.process.ended().await?;
    let reborn = Proxy::start_by(dir.path(), "proxy.yaml").await?;
    let promotions = serde_json::to_value(reborn.status().await?.promotions)?;
    assert_eq!(promotions, json!({"cart": "v2"}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_canaries_are_rolled_back_for_a_stated_reason() -> Result<()> {
    let stage = Stage::set().await?;
    stage.v2().behave(Behaviour { failing_percent: 30, ..Behaviour::default() });
    // Without a person none of them is promoted, however slow everything is on a busy machine.
    stage.is_rolled_back("steps: [20]\n", ["errors", "inc-"]).await?;
    stage.v2().behave(Behaviour { delay: Duration::from_millis(500), ..Behaviour::default() });
    stage.is_rolled_back("steps: [20]\n", ["latency_p", "inc-"]).await?;
    stage.v2().behave(Behaviour::default());
    stage.v2().drag(20, Duration::from_millis(1_500));
    stage.is_rolled_back("steps: [20]\n", ["latency_p9", "inc-"]).await
}

/// A process that comes up, answers a little, and dies with all its connections, again and again.
async fn crash_loop(address: std::net::SocketAddr) -> Result<()> {
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener: TcpListener = socket.listen(64)?;
        let life = async {
            let mut connections = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.push(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                })));
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), life).await;
        drop(listener);
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_in_a_crash_loop_is_ended_at_once() -> Result<()> {
    let mut stage = Stage::set().await?;
    let address = stage.v2().address;
    drop(stage.origins.pop());
    let dying = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(crash_loop(address)));
    stage.is_rolled_back("steps: [20, 100]\n", ["can-1: ", "can-1: "]).await?;
    drop(dying);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_that_is_killed_in_the_middle_goes_on_or_back() -> Result<()> {
    let mut stage = Stage::set().await?;
    let id = stage.start("steps: [20, 50, 100]\napproval: promotion\n").await?;
    eventually("the last step waits for a person", Duration::from_secs(120), || async {
        let detail = stage.detail(&id).await?;
        Ok(detail["weight"] == 50 && detail["hold"]["kind"] == "approval")
    })
    .await
    .with_context(|| stage.brain.process.log())?;
    let seen = stage.detail(&id).await?["totals"]["canary"].as_u64().unwrap();
    let port = |name: &str, brain: &Brain| -> u16 {
        brain.process.address(name).rsplit(':').next().unwrap().parse().unwrap()
    };
    let ports = (port("api", &stage.brain), port("telemetry", &stage.brain));
    stage.brain.process.signal(Signal::SIGKILL)?;
    stage.brain.process.ended().await?;
    // Nobody holds the split any more: the file's weights come back by themselves.
    eventually("the forgotten share is gone", Duration::from_secs(40), || async {
        Ok(stage.share_of_v2().await? == 0.0)
    })
    .await?;
    stage.brain = Brain::start_on(stage.dir.path(), "advisory", ports, "").await?;
    eventually("it goes on where it was", Duration::from_secs(60), || async {
        Ok((stage.share_of_v2().await? - 0.5).abs() < 0.01)
    })
    .await
    .with_context(|| stage.brain.process.log())?;
    let detail = stage.detail(&id).await?;
    assert!(detail["totals"]["canary"].as_u64().unwrap() > seen / 2, "the evidence was kept: {detail}");
    stage.brain.operator(&["canary", "promote", &id, "--reason", "seen it"]).await?;
    assert_eq!(stage.wait(&id).await?.0, Some(0));
    stage.brain.operator(&["canary", "rollback", &id, "--reason", "second thoughts"]).await?;
    let (code, said, _) = stage.wait(&id).await?;
    assert_eq!((code, said["reason"].as_str()), (Some(3), Some("second thoughts")));
    assert_eq!(stage.share_of_v2().await?, 0.0);
    assert!(stage.proxy.status().await?.promotions.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_the_reason() -> Result<()> {
    let stage = Stage::set().await?;
    let start = |service: &'static str, canary: &'static str, steps: &'static str| {
        ["canary", "start", "--service", service, "--stable", "v1", "--canary", canary, "--steps", steps]
    };
    let cases = [
        (start("cart", "v9", "5,100"), "no endpoint of version v9"),
        (start("nowhere", "v2", "5,100"), "no proxy"),
        (start("cart", "v2", "50,5"), "do not rise"),
        (start("cart", "v2", "0,5"), "between 1 and 100"),
        (start("cart", "v1", "5,100"), "stable version itself"),
    ];
    for (arguments, part) in cases {
        let output = stage.lightsout(&arguments).await?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{why}");
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(
        stage.lightsout(&["canary", "wait", "can-7", "--timeout", "1s"]).await?.status.code(),
        Some(2)
    );
    let id = stage.start("steps: [5, 100]\n").await?;
    let output = stage.lightsout(&["canary", "wait", &id, "--timeout", "1s"]).await?;
    assert_eq!(output.status.code(), Some(4), "not over is undecided");
    stage.brain.operator(&["canary", "pause", &id]).await?;
    assert_eq!(stage.detail(&id).await?["phase"], "paused");
    stage.brain.operator(&["canary", "resume", &id]).await?;
    stage.brain.operator(&["canary", "rollback", &id]).await?;
    assert_eq!(stage.wait(&id).await?.0, Some(3));
    assert!(stage.brain.operator(&["canary", "status"]).await?.contains("rolled_back"));
    Ok(())
}
