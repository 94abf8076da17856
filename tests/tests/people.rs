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
