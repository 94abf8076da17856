//! A sick endpoint, a real proxy, a real brain: found, treated, verified, returned.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config};

const RATE: u32 = 200;
/// Requests that are let through before anything falls sick: the brain must see what normal is.
const WARM_UP_REQUESTS: u64 = 2_000;
const GRAY: Behaviour = Behaviour { failing_percent: 30, delay: Duration::ZERO, bears: 0 };

struct Mesh {
    origins: Vec<Origin>,
    proxy: Proxy,
    brain: Brain,
    load: Load,
    _dir: tempfile::TempDir,
}

async fn mesh(mode: &str) -> Result<Mesh> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(5).await?;
    let brain = Brain::start(dir.path(), mode).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    let load = Load::start(&proxy.url, RATE)?;
    assert_eq!(load.next(WARM_UP_REQUESTS).await.failed, 0, "a healthy mesh fails nobody");
    Ok(Mesh { origins, proxy, brain, load, _dir: dir })
}

impl Mesh {
    async fn until_ejected(&self, origin: usize) -> Result<()> {
        eventually("the sick endpoint is ejected", Duration::from_secs(20), || async {
            Ok(self.proxy.endpoint(&self.origins[origin]).await?.ejected)
        })
        .await
        .with_context(|| self.brain.process.log())
    }

    async fn until_closed(&self) -> Result<()> {
        eventually("the incident is closed", Duration::from_secs(90), || async {
            Ok(self.brain.story().await?.iter().any(|kind| kind == "incident_closed"))
        })
        .await
        .with_context(|| self.brain.process.log())
    }
}

/// `needles` occur in `story` in this order.
fn assert_in_order(story: &[String], needles: &[&str]) {
    let mut rest = story.iter();
    for needle in needles {
        assert!(rest.any(|kind| kind == needle), "no {needle} where it belongs in {story:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gray_endpoint_is_named_ejected_verified_probed_and_returned() -> Result<()> {
    let mesh = mesh("autonomous").await?;
    let sick = mesh.origins[2].address.to_string();
    mesh.origins[2].behave(GRAY);
    mesh.until_ejected(2).await?;
    let mended = mesh.load.next(1_000).await;
    assert!(mended.failed * 100 <= mended.requests, "users still see failures: {mended:?}");
    eventually("the brain says that it helped", Duration::from_secs(20), || async {
        Ok(mesh.brain.story().await?.iter().any(|kind| kind == "effect"))
    })
    .await?;
    mesh.origins[2].behave(Behaviour::default());
    mesh.until_closed().await?;
    eventually("the endpoint is back", Duration::from_secs(20), || async {
        let endpoint = mesh.proxy.endpoint(&mesh.origins[2]).await?;
        Ok(!endpoint.ejected && endpoint.weight == endpoint.weight_configured)
    })
    .await?;

    let story = mesh.brain.story().await?;
    let stages = ["incident_opened", "proposal", "verdict", "intent", "receipt", "effect", "incident_closed"];
    assert_in_order(&story, &stages);
    let records = mesh.brain.list("/v1/audit").await?;
    let opened: Vec<&Value> = records.iter().filter(|r| r["kind"] == "incident_opened").collect();
    assert_eq!(opened.len(), 1, "one fault, one incident");
    let cause = &opened[0]["data"]["incident"]["cause"];
    assert_eq!((&cause["kind"], &cause["endpoint"]), (&"bad_endpoint".into(), &Value::from(sick)));
    let effect = records.iter().find(|r| r["kind"] == "effect").context("no effect")?;
    assert_eq!(effect["data"]["effect"]["kind"], "helped");
    assert!(mesh.brain.operator(&["audit", "verify"]).await?.contains("intact"));
    let explained = mesh.brain.operator(&["audit", "explain", "act-1"]).await?;
    assert!(explained.contains("every answer is the same") && explained.contains("rule:"), "{explained}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_advisory_mode_nothing_is_done_until_a_person_approves() -> Result<()> {
    let mesh = mesh("advisory").await?;
    mesh.origins[1].behave(GRAY);
    eventually("a proposal waits", Duration::from_secs(20), || async {
        Ok(mesh.brain.list("/v1/proposals").await?.iter().any(|p| p["state"] == "pending"))
    })
    .await
    .with_context(|| mesh.brain.process.log())?;
    mesh.load.next(600).await;
    assert!(!mesh.proxy.endpoint(&mesh.origins[1]).await?.ejected, "it acted without being told");
    let proposals = mesh.brain.list("/v1/proposals").await?;
    let id = proposals[0]["id"].as_str().context("a proposal without id")?;
    mesh.brain.operator(&["approve", id, "--reason", "looks right"]).await?;
    mesh.until_ejected(1).await?;
    let records = mesh.brain.list("/v1/audit").await?;
    let decision = records.iter().find(|r| r["kind"] == "decision").context("no decision")?;
    assert_eq!(decision["data"]["decision"], "approved");
    assert_eq!(decision["actor"]["kind"], "person");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_undo_freeze_and_reject() -> Result<()> {
    let mesh = mesh("autonomous").await?;
    mesh.origins[3].behave(GRAY);
    mesh.until_ejected(3).await?;
    let actions = mesh.brain.list("/v1/actions").await?;
    let id = actions[0]["id"].as_str().context("an action without id")?;
    mesh.brain.operator(&["undo", id]).await?;
    eventually("the lease is gone", Duration::from_secs(5), || async {
        Ok(mesh.proxy.status().await?.leases.is_empty())
    })
    .await?;
    mesh.load.next(1_500).await;
    assert!(mesh.proxy.status().await?.leases.is_empty(), "a person's decision was fought again");
    mesh.brain.operator(&["freeze", "--revert-all"]).await?;
    assert!(mesh.brain.operator(&["status"]).await?.to_lowercase().contains("frozen"));
    mesh.brain.operator(&["unfreeze"]).await?;
    for verb in [&["incidents"][..], &["actions"], &["proposals"], &["services"], &["audit"], &["autonomy"]] {
        let table = mesh.brain.operator(verb).await?;
        assert!(!table.trim().is_empty(), "{verb:?} printed nothing");
        let json = mesh.brain.operator(&[verb, &["--format", "json"]].concat()).await?;
        let json: Value = serde_json::from_str(&json).with_context(|| json.clone())?;
        assert!(json["items"].is_array(), "{verb:?}: {json}");
    }
    Ok(())
}
