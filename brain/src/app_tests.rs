//! The whole daemon in one process: it starts, answers, streams, refuses, and stops in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::action::mesh_client::direct_client;

fn settings(folder: &Path) -> Settings {
    let text = format!(
        "api: {{ port: 0 }}\ntelemetry: {{ port: 0 }}\ndata_dir: {}\npolicies_dir: /nowhere\n",
        folder.display()
    );
    Settings::from_text("brain.yaml", &text).unwrap()
}

struct Running {
    url: String,
    token: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AppError>>,
    http: reqwest::Client,
}

async fn start(folder: &Path) -> Running {
    let app = App::build(settings(folder)).await.unwrap();
    let url = format!("http://{}", app.addresses().unwrap().0);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(app.run(async {
        let _ = stopped.await;
    }));
    let token = std::fs::read_to_string(folder.join("api.token")).unwrap().trim().to_owned();
    Running { url, token, stop, task, http: direct_client(Duration::from_secs(5)).unwrap() }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String, Value) {
        Self::read(self.http.get(format!("{}{path}", self.url))).await
    }

    async fn post(&self, path: &str, body: &str, token: Option<&str>) -> (u16, String, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.to_owned());
        let request = request.header("content-type", "application/json");
        let shown = token.map(|token| format!("Bearer {token}"));
        Self::read(shown.into_iter().fold(request, |r, shown| r.header("authorization", shown))).await
    }

    async fn read(request: reqwest::RequestBuilder) -> (u16, String, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let media = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
        let text = response.text().await.unwrap();
        (status, media, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_resource_answers_as_the_contract_says() {
    let folder = tempfile::tempdir().unwrap();
    let brain = start(folder.path()).await;
    let (status, _, body) = brain.get("/v1/status").await;
    assert_eq!((status, &body["mode"], &body["epoch"]), (200, &json!("advisory"), &json!(1)));
    assert_eq!(body["audit"], json!({"ok": true, "seq": 1}));
    for list in ["services", "incidents", "proposals", "actions", "proxies"] {
        let (status, _, body) = brain.get(&format!("/v1/{list}")).await;
        assert_eq!((status, body), (200, json!({"items": []})), "{list}");
    }
    assert_eq!(brain.get("/v1/topology").await.2, json!({"nodes": [], "edges": []}));
    assert_eq!(brain.get("/health").await.0, 200);
    assert!(brain.get("/metrics").await.2.as_str().unwrap().contains("lightsout_audit_seq 1"));
    assert!(brain.get("/").await.1.starts_with("text/html"));
    assert_eq!(brain.get("/openapi.json").await.2["openapi"], "3.1.0");
    let (_, _, audit) = brain.get("/v1/audit?kind=brain_started").await;
    assert_eq!(audit["items"][0]["data"]["epoch"], 1);
    assert_eq!(brain.get("/v1/audit/verify").await.2["ok"], true);
    brain.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let brain = start(folder.path()).await;
    let token = Some(brain.token.as_str());
    let many = format!("{{\"reason\":\"{}\"}}", "x".repeat(100_000));
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(2_000));
    let refusals = [
        (404, brain.get("/v1/canaries/can-9").await),
        (404, brain.get("/v1/nothing").await),
        (404, brain.get("/v1/incidents/inc-9").await),
        (404, brain.get("/v1/proposals/prop-9").await),
        (400, brain.get("/v1/audit?since=yesterday").await),
        (400, brain.get("/v1/audit?colour=red").await),
        (405, brain.get("/v1/freeze").await),
        (401, brain.post("/v1/freeze", "{}", None).await),
        (401, brain.post("/v1/mode", r#"{"mode":"observe"}"#, Some("wrong")).await),
        (401, brain.post("/v1/proposals/prop-1/approve", "garbage", None).await),
        (400, brain.post("/v1/mode", "garbage", token).await),
        (422, brain.post("/v1/mode", r#"{"mode":"berserk"}"#, token).await),
        (422, brain.post("/v1/mode", r#"{"mode":"observe","force":true}"#, token).await),
        (
            422,
            brain
                .post(
                    "/v1/actions",
                    r#"{"service":"cart","lease_ms":1,"kind":{"type":"disable_tls"}}"#,
                    token,
                )
                .await,
        ),
        (413, brain.post("/v1/proposals/prop-1/reject", &many, token).await),
        (422, brain.post("/v1/proposals/prop-1/reject", &long, token).await),
    ];
    for (n, (expected, (status, media, body))) in refusals.into_iter().enumerate() {
        assert_eq!((status, media.as_str()), (expected, "application/problem+json"), "{n}: {body}");
        assert_eq!(body["status"], expected, "{n}: {body}");
        assert!(!body["detail"].as_str().unwrap().is_empty(), "{n}");
    }
    brain.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_brain_on_one_data_directory_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let brain = start(folder.path()).await;
    let refused = App::build(settings(folder.path())).await.unwrap_err();
    assert!(refused.to_string().contains("another brain is running"), "{refused}");
    brain.stop().await;
    start(folder.path()).await.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(folder.path());
    settings.telemetry.address = taken.local_addr().unwrap();
    let refused = App::build(settings).await.unwrap_err();
    assert!(refused.to_string().contains(&taken.local_addr().unwrap().to_string()), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brain_with_an_open_event_stream_stops_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let brain = start(folder.path()).await;
    let mut stream = brain.http.get(format!("{}/v1/events", brain.url)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let stopping = tokio::time::timeout(Duration::from_secs(2), brain.stop());
    stopping.await.unwrap();
    assert!(matches!(stream.chunk().await, Ok(None) | Err(_)));
}
