//! The API over real HTTP, with a scripted control loop behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use trust::hosts::Hosts;

use super::*;
use crate::access::{Access, Doors, Key, Principal, Role};
use crate::action::mesh_client::direct_client;
use crate::audit::{AuditReader, AuditStore, FIRST_PREV_HASH, Record};
use crate::clock::wall_clock_ms;
use crate::domain::{Actor, ActorKind, Event, Mode, PersonAnswer, PersonRequest, View};
use crate::metrics::Metrics;
use crate::runtime::{Ask, Live, Told};
use crate::token::Token;

struct Served {
    url: String,
    http: Client,
    live: Arc<ArcSwap<Live>>,
    events: broadcast::Sender<Arc<Record>>,
    _folder: tempfile::TempDir,
}

fn view() -> View {
    serde_json::from_value(json!({
        "at_ms": wall_clock_ms(), "mode": "advisory", "frozen": false, "epoch": 4,
        "services": [{
            "service": "cart", "rps": 10.0, "failure_share": 0.1, "p50_ms": 1.0, "p99_ms": 2.0,
            "callers": ["web"], "calls": [{ "caller": "web", "rps": 10.0, "failure_share": 0.5 }], "learned_s": 3, "endpoints": []
        }],
        "incidents": [{
            "id": "inc-1", "state": "open", "service": "cart", "cause": {"kind": "service", "service": "cart"},
            "confidence": 0.9, "onset_ms": 0, "opened_ms": 0, "updated_ms": 0, "summary": "s",
            "evidence": [], "alternatives": []
        }],
        "proposals": [], "actions": [], "proxies": []
    }))
    .unwrap()
}

/// What the scripted loop answers: what was asked decides.
fn script(request: &PersonRequest) -> Told {
    match request {
        PersonRequest::Approve { proposal, .. } if proposal == "prop-9" => {
            Told::Answered(PersonAnswer::NotFound("there is no prop-9".into()))
        }
        PersonRequest::Approve { digest, .. } if digest != "read" => {
            Told::Answered(PersonAnswer::Conflict("the digest is another".into()))
        }
        PersonRequest::Propose { .. } => Told::Answered(PersonAnswer::Invalid("no such service".into())),
        PersonRequest::Unfreeze => Told::Unavailable("the audit log cannot be written".into()),
        other => Told::Answered(PersonAnswer::Done(json!({ "asked": format!("{other:?}") }))),
    }
}

async fn serve() -> Served {
    serve_with(true).await
}

async fn serve_with(open_reads: bool) -> Served {
    let folder = tempfile::tempdir().unwrap();
    AuditStore::open(folder.path()).await.unwrap().close().await;
    let reader = AuditReader::open(folder.path()).await.unwrap();
    let live = Live { view: view(), audit_ok: true, audit_seq: 7 };
    let live = Arc::new(ArcSwap::from_pointee(live));
    let (asks, mut asked) = mpsc::channel::<Ask>(8);
    tokio::spawn(async move {
        while let Some(ask) = asked.recv().await {
            let _ = ask.answer.send(script(&ask.request));
        }
    });
    let events = broadcast::channel(8).0;
    let key =
        |token: &str, name: &str, role| Key::fixed(&Token::new(token).unwrap(), Principal::new(name, role));
    let keys = vec![
        key("right", "operator", Role::Operator),
        key("looks", "vic", Role::Viewer),
        key("agrees", "ana", Role::Approver),
        key("builds", "ci", Role::Pipeline),
    ];
    let hosts = Hosts::new(["mesh.example.com".to_owned()]);
    let access = Access::new(keys, Doors { hosts, open_reads, ..Doors::default() });
    let api = Api::new(
        Arc::clone(&live),
        asks,
        events.clone(),
        reader,
        access,
        Metrics::new().unwrap(),
        CancellationToken::new(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, router(api).into_make_service_with_connect_info::<std::net::SocketAddr>()).await
    });
    let http = direct_client(Duration::from_secs(5)).unwrap();
    Served { url, http, live, events, _folder: folder }
}

impl Served {
    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(&body);
        let response = request.header("authorization", "Bearer right").send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

mod doors;

#[tokio::test]
async fn a_persons_request_is_answered_with_the_loops_answer() {
    let api = serve().await;
    let approve = |digest: &str| json!({ "digest": digest, "reason": "go" });
    assert_eq!(api.post("/v1/proposals/prop-1/approve", approve("read")).await.0, 200);
    assert_eq!(api.post("/v1/proposals/prop-1/approve", approve("other")).await.0, 409);
    assert_eq!(api.post("/v1/proposals/prop-9/approve", approve("read")).await.0, 404);
    assert_eq!(api.post("/v1/proposals/prop-1/reject", json!({ "reason": "no" })).await.0, 200);
    let action =
        json!({ "service": "x", "lease_ms": 5000, "kind": { "type": "shed_load", "fraction": 0.1 } });
    let (status, body) = api.post("/v1/actions", action).await;
    assert_eq!((status, &body["detail"]), (422, &json!("no such service")));
    let (status, body) = api.post("/v1/actions/act-1/undo", json!({})).await;
    assert_eq!(status, 200);
    assert!(body["asked"].as_str().unwrap().contains("act-1"));
    assert_eq!(api.post("/v1/mode", json!({ "mode": "observe", "kind": "shed_load" })).await.0, 200);
    let (status, body) = api.post("/v1/freeze", json!({ "revert_all": true })).await;
    assert_eq!((status, body["asked"].as_str().unwrap()), (200, "Freeze { revert_all: true }"));
    assert_eq!(api.post("/v1/unfreeze", json!({})).await.0, 503);
}

#[tokio::test]
async fn freeze_and_undo_need_no_body() {
    let api = serve().await;
    for path in ["/v1/freeze", "/v1/actions/act-1/undo"] {
        let request = api.http.post(format!("{}{path}", api.url)).header("authorization", "Bearer right");
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_picture_after_the_last_turn_is_shown() {
    let api = serve().await;
    let (_, status) = api.get("/v1/status").await;
    assert_eq!(status["counts"]["incidents_open"], 1);
    assert_eq!(api.get("/v1/incidents/inc-1").await.1["service"], "cart");
    let edge = json!({ "caller": "web", "service": "cart", "rps": 10.0, "failure_share": 0.5 });
    let graph = json!({ "nodes": ["cart", "web"], "edges": [edge] });
    assert_eq!(api.get("/v1/topology").await.1, graph);
}

#[tokio::test]
async fn policies_are_shown_and_tried_only_on_recordings_that_are_there() {
    let api = serve().await;
    let (_, policies) = api.get("/v1/policies").await;
    let files: Vec<&str> =
        policies["items"].as_array().unwrap().iter().map(|p| p["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["guard.yaml", "rules.yaml", "detection.yaml", "canaries.yaml"]);
    assert!(policies["items"][0]["text"].as_str().unwrap().contains("four_eyes_above"));
    assert_eq!(api.get("/v1/recordings").await.1["items"], json!([]));
    let order = |file: &str, text: &str| json!({ "recording": "night.jsonl", "policies": { file: text } });
    assert_eq!(api.post("/v1/backtests", order("guard.yaml", "version: 1\n")).await.0, 404);
    let (status, why) = api.post("/v1/backtests", order("guard.yaml", "cooldwn_s: 1\n")).await;
    assert_eq!(status, 422);
    assert!(why["detail"].as_str().unwrap().contains("guard.yaml:1:1"), "{why}");
    assert_eq!(api.post("/v1/backtests/bt-1/cancel", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_brain_that_cannot_act_is_not_ready() {
    let api = serve().await;
    assert_eq!(api.get("/ready").await.0, 200);
    api.live.store(Arc::new(Live { view: view(), audit_ok: false, audit_seq: 7 }));
    assert_eq!(api.get("/ready").await.0, 503);
    let stuck = View { at_ms: wall_clock_ms() - 60_000, ..view() };
    api.live.store(Arc::new(Live { view: stuck, audit_ok: true, audit_seq: 7 }));
    assert_eq!(api.get("/ready").await.0, 503);
    assert_eq!(api.get("/health").await.0, 200);
}

#[tokio::test]
async fn records_are_streamed_as_they_become_durable() {
    let api = serve().await;
    let mut stream = api.http.get(format!("{}/v1/events", api.url)).send().await.unwrap();
    let actor = Actor { kind: ActorKind::Person, id: "operator\n\ndata: forged".into() };
    let event = Event::Mode { mode: Mode::Observe, kind: None, by: actor.clone() };
    let record = Record::of(8, 0, &actor, &event, FIRST_PREV_HASH).unwrap();
    api.events.send(Arc::new(record)).unwrap();
    let message = stream.chunk().await.unwrap().unwrap();
    let message = String::from_utf8(message.to_vec()).unwrap();
    let lines: Vec<&str> = message.trim_end().lines().collect();
    assert_eq!(lines.len(), 3, "{message}");
    assert!(lines.contains(&"id: 8") && lines.contains(&"event: mode"), "{message}");
}

#[tokio::test]
async fn a_page_gets_the_picture_at_once_and_records_under_one_name() {
    let api = serve().await;
    let mut stream = api.http.get(format!("{}/v1/events?picture=true", api.url)).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: picture") && text.contains(r#""service":"cart""#), "{text}");
    let actor = Actor { kind: ActorKind::Person, id: "operator".into() };
    let event = Event::Mode { mode: Mode::Observe, kind: None, by: actor.clone() };
    let record = Record::of(8, 0, &actor, &event, FIRST_PREV_HASH).unwrap();
    api.events.send(Arc::new(record)).unwrap();
    let message = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(message.contains("event: record") && message.contains(r#""kind":"mode""#), "{message}");
}
