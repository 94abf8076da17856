//! Gates of canaries: other programs that have a say, asked over HTTP and HTTPS.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::StatusCode;
use rustls::ServerConfig;
use serde_json::Value;
use tests::{Authority, Behaviour, Ended, Origin, Reply, Scripted, Setting, Stage, TRUSTED, eventually};

/// A gate that answers what the test says, and what it was asked.
struct Gate {
    answers: Scripted,
    says: Arc<Mutex<(u16, &'static str)>>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Gate {
    async fn start() -> Result<Self> {
        let says = Arc::new(Mutex::new((200, "")));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (told, kept) = (Arc::clone(&says), Arc::clone(&heard));
        let answers = Scripted::start(move |_, request| {
            let (status, text) = *told.lock().unwrap();
            kept.lock().unwrap().push(serde_json::from_slice(request.body()).unwrap_or_default());
            async move {
                Reply::Answer(StatusCode::from_u16(status).unwrap(), Bytes::from_static(text.as_bytes()))
            }
        })
        .await?;
        Ok(Self { answers, says, heard })
    }

    fn says(&self, status: u16, text: &'static str) {
        *self.says.lock().unwrap() = (status, text);
    }

    fn occasions(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let mut all: Vec<String> =
            heard.iter().map(|h| h["occasion"].as_str().unwrap_or_default().to_owned()).collect();
        all.dedup();
        all
    }

    fn at(&self, moment: &str) -> String {
        format!("{{ at: {moment}, url: \"http://{}/{moment}\" }}", self.answers.address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_moment_asks_its_gate_and_waits_for_its_yes() -> Result<()> {
    let (stage, gate) = (Stage::set().await?, Gate::start().await?);
    gate.says(403, "not before nine");
    let moments = ["confirm_start", "before_step", "confirm_promotion", "after"];
    let gates: Vec<String> = moments.iter().map(|moment| gate.at(moment)).collect();
    let id = stage.start(&format!("steps: [20, 50, 100]\ngates: [ {} ]\n", gates.join(", "))).await?;
    let detail = stage
        .until("the gate is closed", &id, |d| {
            d["hold"]["why"].as_str().is_some_and(|w| w.contains("not before nine"))
        })
        .await?;
    assert_eq!((detail["phase"].as_str(), detail["hold"]["kind"].as_str()), (Some("pending"), Some("gate")));
    assert_eq!(stage.share_of_v2().await?, 0.0);
    gate.says(200, "");
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!(code, Some(0), "{said} {why}");
    eventually("the end is told", Duration::from_secs(10), || async {
        Ok(gate.occasions() == ["start", "step 2", "promotion", "promoted"])
    })
    .await
    .map_err(|why| why.context(format!("{:?}", gate.occasions())))?;
    let told = gate.heard.lock().unwrap().last().cloned().unwrap();
    assert_eq!((told["moment"].as_str(), told["canary"]["id"].as_str()), (Some("after"), Some(&*id)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_silence_means_stands_in_the_gate() -> Result<()> {
    let (stage, gate) = (Stage::set().await?, Gate::start().await?);
    let nowhere = { std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()? };
    let silent = |more: &str| {
        format!("steps: [20]\ngates: [ {{ at: confirm_start, url: \"http://{nowhere}/\"{more} }} ]\n")
    };
    let id = stage.start(&silent("")).await?;
    let waits = |d: &Value| {
        d["hold"]["why"].as_str().is_some_and(|why| why.contains("cannot be reached (no connection)"))
    };
    stage.until("silence holds it", &id, waits).await?;
    stage.brain.operator(&["canary", "rollback", &id]).await?;
    let id = stage.start(&silent(", when_unreachable: fail")).await?;
    let Ended { code, why, .. } = stage.wait(&id).await?;
    assert!(code == Some(3) && why.contains("no connection"), "{code:?} {why}");
    gate.says(410, "the release is off");
    let id = stage.start(&format!("steps: [20]\ngates: [ {} ]\n", gate.at("confirm_start"))).await?;
    let Ended { code, why, .. } = stage.wait(&id).await?;
    assert!(code == Some(3) && why.contains("the release is off"), "{code:?} {why}");
    assert_eq!((stage.share_of_v2().await?, stage.v2().requests()), (0.0, 0), "none of them got a request");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_over_https_is_believed_when_its_certificate_is() -> Result<()> {
    let (dir, authority) = (tempfile::tempdir()?, Authority::new(None)?);
    std::fs::write(dir.path().join(TRUSTED), &authority.pem)?;
    let gate = |authority: &Authority| -> Result<Arc<ServerConfig>> {
        let issued = authority.issue("spiffe://mesh/gate")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Arc::new(config.with_no_client_auth().with_single_cert(vec![issued.der.clone()], issued.key())?))
    };
    let trusted = Origin::start_tls(gate(&authority)?).await?;
    let stranger = Origin::start_tls(gate(&Authority::new(None)?)?).await?;
    let stage = Stage::set_in(dir, Setting::default()).await?;
    let gates = |gate: &Origin, more: &str| {
        format!(
            "steps: [20]\ngates: [ {{ at: confirm_start, url: \"https://{}/gate\"{more} }} ]\n",
            gate.address
        )
    };
    trusted.behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    let id = stage.start(&gates(&trusted, "")).await?;
    let sick =
        |d: &Value| d["hold"]["why"].as_str().is_some_and(|why| why.contains("cannot be reached (500"));
    stage.until("its failure holds it", &id, sick).await?;
    trusted.behave(Behaviour::default());
    stage.until("its yes begins it", &id, |d| d["weight"] == 20).await?;
    stage.brain.operator(&["canary", "rollback", &id]).await?;
    stage.wait(&id).await?;
    let id = stage.start(&gates(&stranger, ", when_unreachable: fail")).await?;
    assert_eq!(stage.wait(&id).await?.code, Some(3));
    assert_eq!(stranger.requests(), 0, "nothing is said to who cannot prove its name");
    Ok(())
}
