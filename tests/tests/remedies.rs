//! Real proxies and a real brain: a bad version is left, abusive clients are refused, too much load is
//! shed; each is verified, and given back when it is over.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Behaviour, EdgeMesh, Load, eventually};

/// Twenty people, five requests a second each.
fn people(mesh: &EdgeMesh) -> Result<Load> {
    mesh.people(20, 5)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_gets_no_traffic_until_it_is_well_again() -> Result<()> {
    let mesh = EdgeMesh::start(2).await?;
    let load = people(&mesh)?;
    load.next(1_000).await;
    let sick = Behaviour { failing_percent: 40, ..Behaviour::default() };
    mesh.origins[3..].iter().for_each(|origin| origin.behave(sick));
    let kind = mesh.until_lease("set_weights").await?;
    assert_eq!(kind["weights"], serde_json::json!({ "version:v2": 0 }));
    mesh.until_helped().await?;
    for origin in &mesh.origins[3..] {
        assert_eq!(mesh.proxy.endpoint(origin).await?.weight, 0);
    }
    let mended = load.next(300).await;
    assert!(mended.failed * 100 <= mended.requests, "users still see failures: {mended:?}");
    mesh.origins.iter().for_each(|origin| origin.behave(Behaviour::default()));
    mesh.until_over().await?;
    let opened = mesh.brain.records("incident_opened").await?;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["incident"]["cause"]["version"], "v2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_refused_and_nobody_else_until_it_stops() -> Result<()> {
    let mesh = EdgeMesh::start(0).await?;
    let load = people(&mesh)?;
    mesh.until_known(&load).await?;
    let missing = format!("{}/missing", mesh.proxy.url);
    let scanner = Load::start_as(&missing, 60, &["203.0.113.9".to_owned()])?;
    let kind = mesh.until_lease("block_ips").await?;
    assert_eq!(kind["cidrs"], serde_json::json!(["203.0.113.9/32"]));
    mesh.until_helped().await?;
    let before = load.tally();
    let refused = reqwest::Client::new().get(&mesh.proxy.url).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(refused.send().await?.status(), 403);
    assert_eq!(load.next(300).await.failed, 0, "{before:?}");
    assert!(mesh.lease("block_ips").await?.is_some(), "it still asks");
    drop(scanner);
    mesh.until_over().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn load_beyond_what_can_be_served_is_shed_and_the_rest_is_served_well() -> Result<()> {
    let mesh = EdgeMesh::start(0).await?;
    // Five endpoints that serve three at once, 50 ms each: 300 requests a second.
    let bears = Behaviour { bears: 3, delay: Duration::from_millis(50), ..Behaviour::default() };
    let load = people(&mesh)?;
    mesh.origins.iter().for_each(|origin| origin.behave(bears));
    mesh.until_known(&load).await?;
    // Many people at once, none of whom asks much.
    let crowd: Vec<String> = (0..250).map(|n| format!("192.0.2.{n}")).collect();
    let crowd = Load::start_as(&mesh.proxy.url, 500, &crowd)?;
    let kind = mesh.until_lease("shed_load").await?;
    let fraction = kind["fraction"].as_f64().context("no fraction")?;
    assert!((0.3..=0.9).contains(&fraction), "{fraction}");
    mesh.until_helped().await?;
    drop(crowd);
    mesh.until_over().await?;
    let intents = mesh.brain.records("intent").await?;
    assert!(intents.iter().all(|i| i["action"]["action"]["kind"]["type"] == "shed_load"), "{intents:?}");
    assert_eq!(load.next(200).await.failed, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_asks_for_is_held_by_the_proxy_and_undone() -> Result<()> {
    let mesh = EdgeMesh::start(0).await?;
    let load = people(&mesh)?;
    load.next(300).await;
    let endpoint = mesh.origins[0].address.to_string();
    let kinds = [
        serde_json::json!({ "type": "trip_breaker", "endpoint": endpoint }),
        serde_json::json!({ "type": "reset_breaker", "endpoint": mesh.origins[1].address.to_string() }),
        serde_json::json!({ "type": "set_weights", "weights": { mesh.origins[2].address.to_string(): 50 } }),
        serde_json::json!({ "type": "block_ips", "cidrs": ["203.0.113.0/24"] }),
    ];
    let token = mesh.brain.token()?;
    let client = reqwest::Client::new();
    for kind in kinds {
        let name = kind["type"].as_str().context("a kind without type")?.to_owned();
        let body =
            serde_json::json!({ "service": "cart", "kind": kind, "lease_ms": 15_000, "reason": "drill" });
        let request = client.post(format!("{}/v1/actions", mesh.brain.api)).bearer_auth(&token);
        let answer = request.json(&body).send().await?;
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text().await?);
        assert_eq!(mesh.until_lease(&name).await?, kind);
        let actions = mesh.brain.list("/v1/actions").await?;
        let id = actions[0]["id"].as_str().context("an action without id")?.to_owned();
        mesh.brain.operator(&["undo", &id]).await?;
        eventually(&format!("{name} is undone"), Duration::from_secs(10), || async {
            Ok(mesh.proxy.status().await?.leases.is_empty())
        })
        .await?;
    }
    Ok(())
}
