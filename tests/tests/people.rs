//! People with names of their own: what touches much needs two of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{Brain, Load, Origin, Proxy, eventually, proxy_config};

#[tokio::test(flavor = "multi_thread")]
async fn what_touches_much_needs_two_different_people() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for person in ["ada", "bob"] {
        std::fs::write(dir.path().join(format!("{person}.token")), format!("token-of-{person}"))?;
    }
    let people = "people: [ { name: ada, token_path: ada.token }, { name: bob, token_path: bob.token } ]\n";
    let origins = Origin::start_many(3).await?;
    let brain = Brain::start_on(dir.path(), "autonomous", (0, 0), people).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    Load::start(&proxy.url, 100)?.next(300).await;
    let client = reqwest::Client::new();
    let post = |person: &str, path: String, body: Value| {
        let request = client.post(format!("{}{path}", brain.api)).bearer_auth(format!("token-of-{person}"));
        async move {
            let answer = request.json(&body).send().await?;
            Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.json::<Value>().await?))
        }
    };
    let kind = json!({ "type": "eject_endpoint", "endpoint": origins[0].address.to_string() });
    let body = json!({ "service": "cart", "kind": kind, "lease_ms": 15_000, "reason": "maintenance" });
    assert_eq!(post("eve", "/v1/actions".to_owned(), body.clone()).await?.0, 401);
    let (status, answer) = post("ada", "/v1/actions".to_owned(), body).await?;
    assert_eq!((status, &answer["verdict"]), (200, &json!("ask")), "{answer}");
    let id = answer["proposal"].as_str().context("no proposal")?.to_owned();
    eventually("the proposal is shown", Duration::from_secs(5), || async {
        Ok(brain.list("/v1/proposals").await?.iter().any(|p| p["id"] == id.as_str()))
    })
    .await?;
    let proposal = brain.list("/v1/proposals").await?.into_iter().find(|p| p["id"] == id.as_str()).unwrap();
    assert_eq!((&proposal["asked_by"], &proposal["approvals_needed"]), (&json!("ada"), &json!(2)));
    let yes = json!({ "digest": proposal["digest"], "reason": "agreed" });
    let path = format!("/v1/proposals/{id}/approve");
    let (status, answer) = post("ada", path.clone(), yes.clone()).await?;
    assert_eq!(status, 409, "she agrees with herself: {answer}");
    assert!(proxy.status().await?.leases.is_empty());
    let (status, answer) = post("bob", path, yes).await?;
    assert_eq!(status, 200, "{answer}");
    eventually("the endpoint is out", Duration::from_secs(10), || async {
        Ok(proxy.endpoint(&origins[0]).await?.ejected)
    })
    .await?;
    let records = brain.list("/v1/audit?kind=decision").await?;
    assert_eq!(records[0]["actor"], json!({ "kind": "person", "id": "bob" }));
    assert_eq!(records[0]["data"]["proposal"]["approvals"], json!(["ada", "bob"]));
    Ok(())
}

/// A mesh of four whose proposals wait for a person, under load.
async fn asking(dir: &std::path::Path) -> Result<(Vec<Origin>, Brain, Proxy, Load)> {
    let origins = Origin::start_many(4).await?;
    let brain = Brain::start(dir, "advisory").await?;
    let proxy = Proxy::start(dir, &proxy_config(dir, &origins, &brain.ai_section())?).await?;
    let load = Load::start(&proxy.url, 60)?;
    load.next(120).await;
    // What the guard denies for want of telemetry would not be asked of anybody.
    eventually("the brain has heard of the service", Duration::from_secs(40), || async {
        let services = brain.list("/v1/services").await?;
        Ok(services.iter().any(|s| s["learned_s"].as_u64() >= Some(2)))
    })
    .await?;
    Ok((origins, brain, proxy, load))
}

/// Gives the first origin another weight, and waits until the brain has heard of it.
async fn reweigh(
    dir: &std::path::Path,
    origins: &[Origin],
    brain: &Brain,
    proxy: &Proxy,
    weight: u32,
) -> Result<()> {
    let (file, port) = (dir.join("proxy.yaml"), origins[0].address.port());
    let config = std::fs::read_to_string(&file)?;
    let line = config.lines().find(|line| line.contains(&format!("port: {port},"))).context("no endpoint")?;
    let (head, tail) = line.split_once("weight: ").context("no weight")?;
    let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    std::fs::write(&file, config.replace(line, &format!("{head}weight: {weight}{rest}")))?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 200);
    eventually("the brain hears of the weight", Duration::from_secs(20), || async {
        let services = brain.list("/v1/services").await?;
        let mut endpoints = services.iter().filter_map(|s| s["endpoints"].as_array()).flatten();
        Ok(endpoints.any(|e| e["weight_configured"] == weight))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_to_what_the_mesh_was_is_refused_and_the_same_is_proposed_of_what_it_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (origins, brain, proxy, _load) = asking(dir.path()).await?;
    let token = brain.token()?;
    let client = reqwest::Client::new();
    let post = |path: String, body: Value| {
        let request = client.post(format!("{}{path}", brain.api)).bearer_auth(&token).json(&body);
        async move {
            let answer = request.send().await?;
            Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.json::<Value>().await?))
        }
    };
    let kind = json!({ "type": "eject_endpoint", "endpoint": origins[0].address.to_string() });
    let body = json!({ "service": "cart", "kind": kind, "lease_ms": 15_000, "reason": "maintenance" });
    let (status, answer) = post("/v1/actions".to_owned(), body).await?;
    assert_eq!((status, &answer["verdict"]), (200, &json!("ask")), "{answer}");
    let id = answer["proposal"].as_str().context("no proposal")?.to_owned();
    let stale: Value = client.get(format!("{}/v1/proposals/{id}", brain.api)).send().await?.json().await?;
    reweigh(dir.path(), &origins, &brain, &proxy, 90).await?;
    let yes = json!({ "digest": stale["digest"], "reason": "agreed" });
    let (status, problem) = post(format!("/v1/proposals/{id}/approve"), yes).await?;
    assert_eq!(
        (status, &problem["status"], &problem["title"]),
        (409, &json!(409), &json!("Conflict")),
        "{problem}"
    );
    let fresh = problem["proposal"]["id"].as_str().context("nothing stands in its place")?.to_owned();
    assert_eq!(problem["proposal"]["action"], stale["action"]);
    assert!(proxy.status().await?.leases.is_empty());
    reweigh(dir.path(), &origins, &brain, &proxy, 80).await?;
    let refused = brain.operator(&["approve", &fresh]).await.err().context("it was not refused")?.to_string();
    assert!(refused.contains("is proposed in its place"), "{refused}");
    let waiting = brain.list("/v1/proposals").await?;
    let last = waiting.iter().find(|p| p["state"] == "pending").context("nothing waits")?["id"].clone();
    brain.operator(&["approve", last.as_str().context("no id")?]).await?;
    eventually("the endpoint is out", Duration::from_secs(20), || async {
        Ok(proxy.endpoint(&origins[0]).await?.ejected)
    })
    .await
}
