//! `GET /openapi.json`: the API described for programs, from the same types that serve it.

use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::{Items, Problem};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::actions::{ProposeBody, UndoBody};
use super::canaries::OrderBody;
use super::mode::{FreezeBody, ModeBody};
use super::proposals::{ApproveBody, RejectBody};
use super::series::Series;
use super::server::Api;
use super::services::Topology;
use super::session::{LoginBody, SessionView};
use super::status::Status;
use crate::access::{COOKIE, Deed};
use crate::audit::{Proof, Record};
use crate::backtest::{Backtest, BacktestOrder, RecordingFile};
use crate::canary::{CanaryDetail, CanarySpec, CanaryView};
use crate::domain::{Action, AutonomyRow, Budgets, Incident, Proposal, ProxyView, ServiceView};
use crate::explain::Explanation;
use crate::forecast::Forecast;
use crate::policies::PolicyText;

/// How a type describes itself.
type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What a path takes and gives.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    body: Option<Describe>,
    answer: Answer,
}

enum Answer {
    Json(Describe),
    AnyJson,
    Text(&'static str),
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/openapi.json", get(serve))
}

async fn serve(State(api): State<Api>) -> Json<Value> {
    Json(Value::clone(&api.document))
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn read(path: &'static str, summary: &'static str, answer: Answer) -> Operation {
    Operation { method: "get", path, summary, query: &[], body: None, answer }
}

const fn write(path: &'static str, summary: &'static str, body: Option<Describe>) -> Operation {
    Operation { method: "post", path, summary, query: &[], body, answer: Answer::AnyJson }
}

const AUDIT_QUERY: &[&str] =
    &["since", "until", "kind", "actor", "service", "incident", "text", "newest", "cursor", "limit"];

/// Every path of the API; a test holds this list against the router's.
fn operations() -> Vec<Operation> {
    let json = Answer::Json;
    vec![
        read("/", "The console", Answer::Text("text/html")),
        read("/console/{file}", "Its parts", Answer::Text("application/octet-stream")),
        read("/health", "200 while alive", Answer::Text("text/plain")),
        read("/ready", "200 while it can act", Answer::Text("text/plain")),
        read("/metrics", "Prometheus metrics", Answer::Text("text/plain")),
        read("/openapi.json", "This document", Answer::AnyJson),
        read("/v1/status", "The brain", json(of::<Status>)),
        read("/v1/proxies", "Who reports", json(of::<Items<ProxyView>>)),
        Operation {
            query: &["at"],
            ..read("/v1/services", "What the mesh does, or did", json(of::<Items<ServiceView>>))
        },
        Operation {
            query: &["service", "endpoint", "endpoints", "metric", "since"],
            ..read("/v1/series", "The last hour, for charts", json(of::<Items<Series>>))
        },
        read("/v1/budgets", "What the guard allows in all", json(of::<Budgets>)),
        read("/v1/forecasts", "The load to come, by service", json(of::<Items<Forecast>>)),
        read("/v1/autonomy", "What each kind of action has shown", json(of::<Items<AutonomyRow>>)),
        read("/v1/policies", "The texts of the policies in force", json(of::<Items<PolicyText>>)),
        read("/v1/recordings", "What policies can be tried on", json(of::<Items<RecordingFile>>)),
        read("/v1/backtests", "Trials of policies, newest first", json(of::<Items<Backtest>>)),
        Operation {
            answer: json(of::<Backtest>),
            ..write("/v1/backtests", "Try edited policies on a recording", Some(of::<BacktestOrder>))
        },
        read("/v1/backtests/{id}", "One trial, with what came of it", json(of::<Backtest>)),
        write("/v1/backtests/{id}/cancel", "End it", None),
        Operation { query: &["at"], ..read("/v1/topology", "Who calls whom, or did", json(of::<Topology>)) },
        read("/v1/incidents", "Incidents, newest first", json(of::<Items<Incident>>)),
        read("/v1/incidents/{id}", "One incident", json(of::<Incident>)),
        read("/v1/proposals", "Proposals, newest first", json(of::<Items<Proposal>>)),
        read("/v1/proposals/{id}", "One proposal", json(of::<Proposal>)),
        write("/v1/proposals/{id}/approve", "Agree to exactly what was read", Some(of::<ApproveBody>)),
        write("/v1/proposals/{id}/reject", "Refuse", Some(of::<RejectBody>)),
        read("/v1/actions", "Actions, newest first", json(of::<Items<Action>>)),
        write("/v1/actions", "Propose an action; the guard judges", Some(of::<ProposeBody>)),
        write("/v1/actions/{id}/undo", "Remove a live action", Some(of::<UndoBody>)),
        read("/v1/canaries", "Canaries, newest first", json(of::<Items<CanaryView>>)),
        write("/v1/canaries", "Begin a canary", Some(of::<CanarySpec>)),
        read("/v1/canaries/{id}", "One canary with its record", json(of::<CanaryDetail>)),
        Operation {
            query: &["format"],
            ..read("/v1/canaries/{id}/report", "A page to file: html or markdown", Answer::Text("text/html"))
        },
        write("/v1/canaries/{id}/pause", "Hold it where it is", Some(of::<OrderBody>)),
        write("/v1/canaries/{id}/resume", "Go on, or agree to the next step", Some(of::<OrderBody>)),
        write("/v1/canaries/{id}/promote", "Make it the stable version", Some(of::<OrderBody>)),
        write("/v1/canaries/{id}/rollback", "Take it out", Some(of::<OrderBody>)),
        write("/v1/mode", "Set the upper bound of autonomy", Some(of::<ModeBody>)),
        write("/v1/freeze", "Stop acting", Some(of::<FreezeBody>)),
        write("/v1/unfreeze", "Go on", None),
        Operation {
            query: AUDIT_QUERY,
            ..read("/v1/audit", "Audit records, oldest first", json(of::<Items<Record>>))
        },
        read("/v1/audit/export", "Every record, one JSON a line", Answer::Text("application/jsonl")),
        read("/v1/audit/verify", "Walk the hash chain", json(of::<Proof>)),
        read("/v1/session", "Who is asking", json(of::<SessionView>)),
        Operation {
            answer: json(of::<SessionView>),
            ..write("/v1/session", "Open a browser's session", Some(of::<LoginBody>))
        },
        Operation { method: "delete", ..write("/v1/session", "End the session", None) },
        Operation {
            query: &["picture"],
            ..read("/v1/events", "Every record as it happens", Answer::Text("text/event-stream"))
        },
        read(
            "/v1/audit/{id}/explain",
            "Decisions again from their records: by seq, proposal, action or incident",
            json(of::<Items<Explanation>>),
        ),
    ]
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations() {
        let described = describe(&operation, &mut generator);
        if let Value::Object(methods) = paths.entry(operation.path).or_insert_with(|| json!({})) {
            methods.insert(operation.method.to_owned(), described);
        }
    }
    let problem = generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Lightsout", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "MIT" } },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": { "Problem": {
                "description": "Why it was not done (RFC 9457)",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": COOKIE,
                    "description": "Writes send the session's csrf in x-csrf-token",
                },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let content = match operation.answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Answer::AnyJson => json!({ "application/json": {} }),
        Answer::Text(media) => json!({ media: {} }),
    };
    let in_path = operation.path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(
        |(name, _)| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
    );
    let in_query = operation
        .query
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    let mut described = json!({
        "summary": operation.summary,
        "parameters": in_path.into_iter().chain(in_query).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "Done", "content": content },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    let method = operation.method.to_ascii_uppercase().parse().unwrap_or(Method::POST);
    let deed = Deed::of(&method, operation.path);
    if deed != Deed::Nothing {
        described["x-roles"] = json!(deed.roles());
        described["security"] = match deed {
            // Open where brain.yaml leaves reads open, as it does on loopback.
            Deed::Read => json!([{ "token": [] }, { "session": [] }, {}]),
            _ => json!([{ "token": [] }, { "session": [] }]),
        };
    }
    if let Some(schema) = operation.body {
        described["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema(generator) } } });
    }
    described
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every path that the resources' sources give to a router.
    fn routed() -> BTreeSet<String> {
        let sources = [
            include_str!("actions.rs"),
            include_str!("audit.rs"),
            include_str!("autonomy.rs"),
            include_str!("backtests.rs"),
            include_str!("canaries.rs"),
            include_str!("events.rs"),
            include_str!("forecasts.rs"),
            include_str!("health.rs"),
            include_str!("incidents.rs"),
            include_str!("mode.rs"),
            include_str!("openapi.rs"),
            include_str!("proposals.rs"),
            include_str!("series.rs"),
            include_str!("services.rs"),
            include_str!("session.rs"),
            include_str!("status.rs"),
            include_str!("../console.rs"),
        ];
        let marker = concat!(".route", "(\"");
        let paths = sources.iter().flat_map(|text| text.split(marker).skip(1));
        paths.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, routed());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
