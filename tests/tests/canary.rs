//! Canaries through real proxies and a real brain, driven as a pipeline drives them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;
use tests::{Behaviour, Brain, Ended, Proxy, Setting, Stage, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

async fn is_rolled_back(stage: &Stage, more: &str, metrics: [&str; 2]) -> Result<()> {
    let id = stage.start(more).await?;
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!(code, Some(3), "{said} {why}");
    assert!(metrics.iter().any(|metric| why.contains(metric)), "{why}");
    assert_eq!(
        (said["phase"].as_str(), said["reason"].as_str().map(|r| why.contains(r))),
        (Some("rolled_back"), Some(true))
    );
    assert_eq!(stage.share_of_v2().await?, 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_promotes_itself_for_good() -> Result<()> {
    let stage = Stage::set().await?;
    let id = stage.start("steps: [20, 50, 100]\n").await?;
    let refused = stage.lightsout(&["canary", "start", "--file", "canary.yaml"]).await?;
    assert_eq!(refused.status.code(), Some(2), "two canaries for one service");
    let Ended { code, said, why } = stage.wait(&id).await?;
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
    is_rolled_back(&stage, "steps: [20]\n", ["errors", "inc-"]).await?;
    stage.v2().behave(Behaviour { delay: Duration::from_millis(500), ..Behaviour::default() });
    is_rolled_back(&stage, "steps: [20]\n", ["latency_p", "inc-"]).await?;
    stage.v2().behave(Behaviour::default());
    stage.v2().drag(20, Duration::from_millis(1_500));
    is_rolled_back(&stage, "steps: [20]\n", ["latency_p9", "inc-"]).await
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
    is_rolled_back(&stage, "steps: [20, 100]\n", ["can-1: ", "can-1: "]).await?;
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
    assert_eq!(stage.wait(&id).await?.code, Some(0));
    stage.brain.operator(&["canary", "rollback", &id, "--reason", "second thoughts"]).await?;
    let Ended { code, said, .. } = stage.wait(&id).await?;
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
        (start("cart", "v2", "50,5"), "--steps do not rise"),
        (start("cart", "v2", "0,5"), "between 1 and 100"),
        (start("cart", "v1", "5,100"), "--canary is the stable version itself"),
    ];
    for (arguments, part) in cases {
        let output = stage.lightsout(&arguments).await?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{why}");
        assert!(why.contains(part), "{why}");
    }
    for verb in ["wait", "status", "list", "report", "pause", "resume", "promote", "rollback"] {
        let output = stage.lightsout(&["canary", verb, "can-7"]).await?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), why.contains("no canary can-7")), (Some(2), true), "{verb}: {why}");
    }
    let id = stage.start("steps: [5, 100]\n").await?;
    let nowhere = ["canary", "report", &id, "--output", "no/such/folder.md"];
    assert_eq!(stage.lightsout(&nowhere).await?.status.code(), Some(2));
    let output = stage.lightsout(&["canary", "wait", &id, "--timeout", "1s"]).await?;
    assert_eq!(output.status.code(), Some(4), "not over is undecided");
    stage.brain.operator(&["canary", "pause", &id]).await?;
    assert_eq!(stage.detail(&id).await?["phase"], "paused");
    stage.brain.operator(&["canary", "resume", &id]).await?;
    stage.brain.operator(&["canary", "rollback", &id]).await?;
    assert_eq!(stage.wait(&id).await?.code, Some(3));
    assert!(stage.brain.operator(&["canary", "list"]).await?.contains("rolled_back"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_bad_input_with_its_place_and_its_reason() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("policies"))?;
    let policy = "version: 1\ngate_urls: [ \"https://gates.example/\" ]\n";
    std::fs::write(dir.path().join("policies/canaries.yaml"), policy)?;
    let stage =
        Stage::set_in(dir, Setting { brain: "policies_dir: policies\n", ..Setting::default() }).await?;
    let token = stage.brain.token()?;
    let client = reqwest::Client::new();
    let post = |path: String, text: String| {
        let request = client.post(format!("{}/v1/canaries{path}", stage.brain.api)).bearer_auth(&token);
        async move {
            let answer = request.body(text).send().await?;
            let status = answer.status().as_u16();
            let problem: serde_json::Value = answer.json().await?;
            Ok::<_, anyhow::Error>((status, problem["detail"].as_str().unwrap_or_default().to_owned()))
        }
    };
    let gate = |url: &str| format!("gates: [ {{ at: confirm_start, url: \"{url}\" }} ]");
    let cases = [
        ("stepps: [1]".to_owned(), "did you mean"),
        ("steps: [5, 5]".to_owned(), ":4:"),
        ("strategy: canarry".to_owned(), "progressive"),
        (gate("https://elsewhere.example/"), "canaries.yaml does not allow the gate"),
        (gate("ftp://gates.example/"), "neither http://"),
        ("copies: { percent: 10 }".to_owned(), "strategy mirror alone"),
        ("strategy: mirror\ncopies: { percent: 0 }".to_owned(), "between 1 and 100"),
        ("preview: { key: x-preview, value: yes-please }".to_owned(), "neither header:NAME nor cookie:NAME"),
        ("error_budget: { share: 0.1 }".to_owned(), "exactly one of failures and objective"),
    ];
    for (line, part) in cases {
        let (status, why) =
            post(String::new(), format!("service: cart\nstable: v1\ncanary: v2\n{line}\n")).await?;
        assert!(status == 422 && why.contains(part), "{line}: {status} {why}");
    }
    let two =
        |service: &str, version: &str| format!("{{ service: {service}, stable: v1, canary: {version} }}");
    for (service, version, part) in
        [("cart", "v9", "version v9"), ("nowhere", "v2", "no proxy"), ("cart", "v1", "itself")]
    {
        let (status, why) = post(String::new(), two(service, version)).await?;
        assert!(status == 422 && why.contains(part), "{status} {why}");
    }
    assert_eq!(
        client
            .post(format!("{}/v1/canaries", stage.brain.api))
            .body(two("cart", "v2"))
            .send()
            .await?
            .status(),
        401
    );
    assert_eq!(post(String::new(), two("cart", "v2")).await?.0, 201);
    let (status, why) = post(String::new(), two("cart", "v2")).await?;
    assert!(status == 422 && why.contains("can-1 is under way"), "{status} {why}");
    assert_eq!(post("/can-9/pause".to_owned(), String::new()).await?.0, 404);
    assert_eq!(post("/can-1/rollback".to_owned(), String::new()).await?.0, 200);
    let (status, why) = post("/can-1/resume".to_owned(), String::new()).await?;
    assert!(
        status == 409 && ["taken out", "it is over"].iter().any(|part| why.contains(part)),
        "{status} {why}"
    );
    Ok(())
}
