#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The admin API over real HTTP.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::*;
use crate::control::tests::{Rig, rig};
use crate::settings::Given;
use crate::telemetry::shard::Shard;
use crate::token::Token;

const TOKEN: &str = "0123456789abcdef";

struct Served {
    rig: Rig,
    admin: Shared,
    address: std::net::SocketAddr,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn served() -> Served {
    let rig = rig();
    let token_path = rig.path("token");
    std::fs::write(&token_path, TOKEN).unwrap();
    let given = Given { ai_enabled: false, ai_mode: None, host_name: "night".to_owned(), cores: 2 };
    let admin = Arc::new(Admin {
        control: Arc::clone(&rig.control),
        tokens: Tokens { operator: Token::load_or_make(&token_path).unwrap().0, viewer: None },
        lockout: Lockout::default(),
        hosts: Hosts::default(),
        drain: CancellationToken::new(),
        listeners: Listeners { main: ([127, 0, 0, 1], 8000).into(), admin: ([127, 0, 0, 1], 9901).into() },
        source: Source { path: Some(rig.path("proxy.yaml")), given },
        refusals: Refusals::default(),
        readings: Box::new(|| {
            let shard = Shard::default();
            for ms in [50, 400, 20_000] {
                shard.request(false, Duration::from_millis(ms));
            }
            metrics::Readings { traffic: shard.snapshot(), ..Default::default() }
        }),
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, Arc::clone(&admin), stop.clone()));
    Served { rig, admin, address, stop }
}

impl Served {
    async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String, Value) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        (status, kind, serde_json::from_slice(&body).unwrap_or(Value::String(text)))
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, kind, answer) = self.send(method, path, Some(TOKEN), body).await;
        if status >= 400 {
            assert_eq!(kind, "application/problem+json", "{method} {path}: {answer}");
            assert_eq!(answer["status"], status);
        }
        (status, answer)
    }

    async fn put(&self, id: &str, body: Value) -> u16 {
        self.ask("PUT", &format!("/v1/actions/{id}"), body).await.0
    }
}

fn eject(n: u8, epoch: u64) -> Value {
    json!({"epoch": epoch, "lease_ms": 30_000, "service": "cart", "reason": "gray", "confidence": 0.9,
        "issued_by": "b1", "kind": {"type": "eject_endpoint", "endpoint": format!("10.0.0.{n}:80")}})
}

#[tokio::test]
async fn an_action_is_put_listed_renewed_and_undone() {
    let served = served().await;
    let (status, receipt) = served.ask("PUT", "/v1/actions/a-1", eject(1, 3)).await;
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(served.ask("PUT", "/v1/actions/a-1", eject(1, 3)).await, (200, receipt.clone()));
    let (_, list) = served.ask("GET", "/v1/actions", Value::Null).await;
    assert_eq!(list["items"][0]["id"], "a-1");
    assert_eq!(list["items"][0]["kind"]["type"], "eject_endpoint");
    assert_eq!(list["items"][0]["expires_at"], receipt["expires_at"]);
    let renew = json!({"epoch": 3, "lease_ms": 60_000});
    let (status, renewed) = served.ask("POST", "/v1/actions/a-1/renew", renew).await;
    assert_eq!(status, 200);
    assert!(renewed["expires_at"].as_str() > receipt["expires_at"].as_str());
    let (_, shown) = served.ask("GET", "/status", Value::Null).await;
    assert_eq!(shown["services"][0]["endpoints"][0]["ejected"], true);
    assert_eq!((&shown["epoch"], &shown["leases"][0]["id"]), (&json!(3), &json!("a-1")));
    let (status, undone) = served.ask("DELETE", "/v1/actions/a-1?epoch=3", Value::Null).await;
    assert_eq!((status, &undone["live_state_hash_after"]), (200, &receipt["live_state_hash_before"]));
}

#[tokio::test]
async fn every_refusal_has_its_status_and_changes_nothing() {
    let served = served().await;
    assert_eq!(served.put("a", eject(1, 5)).await, 200);
    let before = served.rig.control.view();
    assert_eq!(served.put("b", eject(2, 4)).await, 409, "stale epoch");
    assert_eq!(served.put("a", eject(2, 5)).await, 409, "another action's id");
    let with = |key: &str, value: Value| {
        let mut body = eject(2, 5);
        body[key] = value;
        body
    };
    assert_eq!(served.put("b", with("service", json!("nowhere"))).await, 404);
    for (key, value) in [
        ("lease_ms", json!(999)),
        ("lease_ms", json!(3_600_001)),
        ("confidence", json!(1.5)),
        ("reason", json!("x".repeat(2_000))),
        ("more", json!(1)),
        ("epoch", json!(-1)),
        ("kind", json!({"type": "disable_tls"})),
        ("kind", json!({"type": "eject_endpoint", "endpoint": "10.0.0.2:80", "force": true})),
        ("kind", json!({"type": "eject_endpoint", "endpoint": "10.9.9.9:80"})),
        ("kind", json!({"type": "shed_load", "fraction": 0.91})),
        ("kind", json!({"type": "limit_rate", "key": "cookie", "rps": 1.0, "burst": 1})),
        ("kind", json!({"type": "set_weights", "weights": {"version:v1": 0}})),
    ] {
        assert_eq!(served.put("b", with(key, value.clone())).await, 422, "{key}: {value}");
    }
    assert_eq!(served.put("%3Cscript%3E", eject(2, 5)).await, 422, "an id that is no name");
    for garbage in [&b"{"[..], b"", b"\xff\xfe", b"nonsense"] {
        let (status, _, _) = served.send("PUT", "/v1/actions/b", Some(TOKEN), garbage.to_vec()).await;
        assert_eq!(status, 400, "{garbage:?}");
    }
    let deep = "[".repeat(20_000).into_bytes();
    assert_eq!(served.send("PUT", "/v1/actions/b", Some(TOKEN), deep).await.0, 400);
    assert_eq!(served.send("PUT", "/v1/actions/b", Some(TOKEN), vec![b' '; 70_000]).await.0, 413);
    let in_order = json!([5, 30_000, "cart", {"type": "eject_endpoint", "endpoint": "10.0.0.2:80"}]);
    assert_eq!(served.put("b", in_order).await, 422, "an array is no action");
    let renew = |epoch: u64, lease_ms: u64| json!({"epoch": epoch, "lease_ms": lease_ms});
    assert_eq!(served.ask("POST", "/v1/actions/b/renew", renew(5, 5_000)).await.0, 404);
    assert_eq!(served.ask("POST", "/v1/actions/a/renew", renew(4, 5_000)).await.0, 409);
    assert_eq!(served.ask("POST", "/v1/actions/a/renew", renew(5, 1)).await.0, 422);
    assert_eq!(served.ask("DELETE", "/v1/actions/b?epoch=5", Value::Null).await.0, 404);
    assert_eq!(served.ask("DELETE", "/v1/actions/a?epoch=4", Value::Null).await.0, 409);
    assert_eq!(served.ask("DELETE", "/v1/actions/a", Value::Null).await.0, 400);
    assert_eq!(served.ask("GET", "/v1/nothing", Value::Null).await.0, 404);
    assert_eq!(served.ask("POST", "/health", Value::Null).await.0, 405);
    let after = served.rig.control.view();
    assert_eq!(
        (after.table.live.hash.clone(), after.persisted),
        (before.table.live.hash.clone(), before.persisted)
    );
    assert_eq!(after.leases, before.leases);
}

#[tokio::test]
async fn without_the_token_nothing_is_written_and_no_lease_is_read() {
    let served = served().await;
    let writes = [
        ("PUT", "/v1/actions/a"),
        ("DELETE", "/v1/actions/a?epoch=1"),
        ("POST", "/v1/actions/a/renew"),
        ("GET", "/v1/actions"),
        ("POST", "/reload"),
        ("POST", "/drain"),
        ("POST", "/freeze"),
        ("POST", "/unfreeze"),
    ];
    for (method, path) in writes {
        for token in [None, Some("0123456789abcdeX"), Some("")] {
            let body = eject(1, 1).to_string().into_bytes();
            assert_eq!(served.send(method, path, token, body).await.0, 401, "{method} {path}");
        }
    }
    assert!(!served.admin.drain.is_cancelled());
    for path in ["/health", "/ready", "/status", "/metrics"] {
        assert_eq!(served.send("GET", path, None, Vec::new()).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_frozen_proxy_answers_423_until_unfrozen() {
    let served = served().await;
    assert_eq!(served.put("a", eject(1, 1)).await, 200);
    assert_eq!(served.ask("POST", "/freeze", Value::Null).await.0, 200);
    assert_eq!(served.put("b", eject(1, 1)).await, 423);
    let renew = json!({"epoch": 1, "lease_ms": 5_000});
    assert_eq!(served.ask("POST", "/v1/actions/a/renew", renew).await.0, 423);
    assert_eq!(served.ask("DELETE", "/v1/actions/a?epoch=1", Value::Null).await.0, 404);
    assert_eq!(served.ask("POST", "/unfreeze", Value::Null).await.0, 200);
    assert_eq!(served.put("b", eject(1, 1)).await, 200);
}

#[tokio::test]
async fn a_drain_is_answered_at_once_and_turns_ready_off() {
    let served = served().await;
    assert_eq!(served.ask("GET", "/ready", Value::Null).await.0, 200);
    assert_eq!(served.ask("POST", "/drain", Value::Null).await.0, 202);
    assert_eq!(served.ask("GET", "/ready", Value::Null).await.0, 503);
    assert_eq!(served.ask("GET", "/health", Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_reload_with_a_bad_file_keeps_the_last_good_one_and_says_why() {
    let served = served().await;
    let before = served.rig.control.view().table.live.hash.clone();
    let path = served.rig.path("proxy.yaml");
    std::fs::write(&path, "upstream:\n  servces: {}\n").unwrap();
    let (status, why) = served.ask("POST", "/reload", Value::Null).await;
    assert_eq!(status, 422);
    assert!(why["detail"].as_str().unwrap().contains("proxy.yaml:2:3"), "{why}");
    assert_eq!(served.rig.control.view().table.live.hash, before);
    let good = "server: {port: 0, bind_address: 127.0.0.1}\nadmin: {port: 0}\nupstream: {services: {cart: {endpoints: [{address: 10.0.0.1, port: 80}]}}}\n";
    std::fs::write(&path, good).unwrap();
    let (status, answer) = served.ask("POST", "/reload", Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    assert_ne!(served.rig.control.view().table.live.hash, before);
}

#[tokio::test]
async fn the_promised_metrics_are_there_with_their_types() {
    let served = served().await;
    let (status, text) = served.ask("GET", "/metrics", Value::Null).await;
    assert_eq!(status, 200);
    let text = text.as_str().unwrap();
    for (name, kind) in [
        ("proxy_requests_total", "counter"),
        ("proxy_requests_successful_total", "counter"),
        ("proxy_requests_failed_total", "counter"),
        ("proxy_response_time_histogram", "histogram"),
        ("proxy_circuit_breaker_state", "gauge"),
        ("proxy_active_connections", "gauge"),
        ("proxy_total_connections", "counter"),
        ("proxy_bytes_sent_total", "counter"),
        ("proxy_bytes_received_total", "counter"),
        ("proxy_backend_connections", "gauge"),
        ("proxy_backend_requests_total", "counter"),
        ("proxy_backend_failures_total", "counter"),
        ("proxy_active_leases", "gauge"),
        ("proxy_telemetry_windows_dropped_total", "counter"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}\n{text}");
    }
    for line in [
        "proxy_requests_total 3\n",
        "proxy_response_time_histogram_bucket{le=\"0.5\"} 2\n",
        "proxy_response_time_histogram_bucket{le=\"+Inf\"} 3\n",
        "proxy_response_time_histogram_sum 20.45\n",
        "proxy_circuit_breaker_state{service=\"cart\",endpoint=\"10.0.0.1:80\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
