//! Replicas are asked of whoever runs the services, by a signed webhook: proposed by a forecast or a person, judged,
//! agreed to, tried again where the receiver stumbles, withdrawn, and all of it in the audit log.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::hmac;
use http::StatusCode;
use serde_json::{Value, json};
use tests::{Brain, Load, Origin, Proxy, Reply, Scripted, eventually, proxy_config};

const SECRET: &str = "between the mesh and whoever scales it";
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever runs the services, played by the test: stumbles over the first wish, takes the others, and keeps those
/// that are signed.
struct Receiver {
    server: Scripted,
    kept: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn start() -> Result<Self> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let wishes = Arc::clone(&kept);
        let server = Scripted::start(move |number, request| {
            let signed = signed(&request);
            if let (true, Ok(wish)) = (signed, serde_json::from_slice(request.body())) {
                wishes.lock().unwrap().push(wish);
            }
            async move {
                match (signed, number) {
                    (false, _) => Reply::status(401),
                    (true, 0) => Reply::Answer(StatusCode::SERVICE_UNAVAILABLE, "busy".into()),
                    (true, _) => Reply::text("rolling out\u{1b}[2J".to_owned()),
                }
            }
        })
        .await?;
        Ok(Self { server, kept })
    }

    /// The section of brain.yaml, with the secret in its file.
    fn section(&self, dir: &Path) -> Result<String> {
        std::fs::write(dir.join("scale.secret"), SECRET)?;
        let url = format!("http://{}/scale", self.server.address);
        Ok(format!("scale: {{ url: \"{url}\", secret_path: scale.secret }}\n"))
    }

    fn wishes(&self) -> Vec<Value> {
        self.kept.lock().unwrap().clone()
    }

    async fn until(&self, state: &str, count: usize) -> Result<()> {
        eventually(&format!("{count} wishes are {state}"), PATIENCE, || async {
            Ok(self.wishes().iter().filter(|wish| wish["state"] == state).count() >= count)
        })
        .await
    }
}

/// Whether a request bears the time of now and the signature of time and body.
fn signed(request: &http::Request<bytes::Bytes>) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (Some(at), Some(signature)) = (header("x-lightsout-timestamp"), header("x-lightsout-signature"))
    else {
        return false;
    };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let message = [at.as_bytes(), b".", request.body()].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), &message);
    let ours = hex::encode(tag.as_ref());
    signature == format!("sha256={ours}") && at.parse::<u64>().is_ok_and(|at_s| now_s.abs_diff(at_s) < 60)
}

async fn propose(brain: &Brain, replicas: u32) -> Result<(u16, Value)> {
    let kind = json!({ "type": "scale", "replicas": replicas });
    let body = json!({ "service": "cart", "kind": kind, "lease_ms": 60_000, "reason": "sale at noon" });
    let request = reqwest::Client::new().post(format!("{}/v1/actions", brain.api));
    let answer = request.bearer_auth(brain.token()?).json(&body).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_replicas_asked_for_and_withdrawn_and_the_audit_log_has_every_answer() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let receiver = Receiver::start().await?;
    let origins = Origin::start_many(2).await?;
    let brain = Brain::start_on(dir.path(), "advisory", (0, 0), &receiver.section(dir.path())?).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    let _load = Load::start(&proxy.url, 20)?;
    brain.until_known(1).await?;
    let (status, refused) = propose(&brain, 40).await?;
    ensure!(status == 409 && refused.to_string().contains("more than"), "{refused}");
    let (status, answer) = propose(&brain, 4).await?;
    ensure!((status, &answer["verdict"]) == (200, &json!("ask")), "{answer}");
    brain.operator(&["approve", answer["proposal"].as_str().context("no proposal")?]).await?;
    // The first was answered by 503.
    receiver.until("wanted", 2).await?;
    let wishes = receiver.wishes();
    ensure!(wishes.iter().all(|wish| wish["replicas"] == 4 && wish["service"] == "cart"), "{wishes:?}");
    ensure!(wishes[0]["action"] == wishes[1]["action"], "the same wish again: {wishes:?}");
    ensure!(proxy.status().await?.leases.is_empty(), "no proxy has a part in it");
    let action = wishes[0]["action"].as_str().context("no action")?.to_owned();
    eventually("the answer is kept", PATIENCE, || async {
        let receipts = brain.records("receipt").await?;
        Ok(receipts.iter().any(|r| r["receipt"]["answer"] == "200 OK: rolling out[2J"))
    })
    .await?;
    let refusals = brain.records("refusal").await?;
    ensure!(refusals.iter().any(|r| r["refusal"]["detail"].to_string().contains("busy")), "{refusals:?}");
    let table = brain.operator(&["actions"]).await?;
    ensure!(table.contains("scale to 4 replicas"), "{table}");
    brain.operator(&["undo", &action]).await?;
    receiver.until("withdrawn", 1).await?;
    eventually("its story is whole", PATIENCE, || async {
        let records = brain.list("/v1/audit?limit=1000").await?;
        let mine = records.iter().filter(|r| r["action"] == action.as_str());
        let told: Vec<&str> = mine.filter_map(|r| r["kind"].as_str()).collect();
        Ok(["intent", "receipt", "undo", "action_ended"].iter().all(|kind| told.contains(kind)))
    })
    .await?;
    ensure!(brain.operator(&["audit", "verify"]).await?.contains("intact"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn load_that_is_forecast_asks_for_replicas_before_it_comes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let receiver = Receiver::start().await?;
    let section = receiver.section(dir.path())?;
    let origins = Origin::start_many(4).await?;
    let brain = Brain::start_on(dir.path(), "autonomous", (0, 0), &section).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    let _load = Load::start(&proxy.url, 20)?;
    let brain = brain.after_an_hour_of_growth(20, "autonomous", &section).await?;
    let proposed = || async {
        let proposals = brain.list("/v1/proposals").await?;
        Ok::<_, anyhow::Error>(proposals.into_iter().find(|p| p["action"]["kind"]["type"] == "scale"))
    };
    eventually("replicas are proposed", PATIENCE, || async { Ok(proposed().await?.is_some()) }).await?;
    let proposal = proposed().await?.context("it is gone")?;
    ensure!(proposal["state"] == "pending", "as shipped a person is asked: {proposal}");
    ensure!(proposal["evidence"][0]["signal"] == "forecast", "{proposal}");
    let replicas = proposal["action"]["kind"]["replicas"].as_u64();
    ensure!(replicas > Some(4) && replicas <= Some(8), "{proposal}");
    ensure!(receiver.wishes().is_empty(), "nothing is asked before a person agrees");
    brain.operator(&["approve", proposal["id"].as_str().context("no id")?]).await?;
    receiver.until("wanted", 2).await?;
    let wish = receiver.wishes()[1].clone();
    ensure!(wish["replicas"].as_u64() == replicas, "{wish}");
    ensure!(wish["reason"].to_string().contains("are forecast for"), "{wish}");
    Ok(())
}
