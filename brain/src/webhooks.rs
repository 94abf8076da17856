//! Asks the gates of canaries and reads their business metrics: each call in a task of its own, bounded, never
//! in the way of a turn.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::action::client::bounded_body;
use crate::action::mesh_client::direct_client;
use crate::canary::judge::Reading;
use crate::canary::{GateAnswer, GateCall, MetricCall};
use crate::domain::{Actor, PersonRequest};
use crate::runtime::Ask;

/// Calls at once; what comes beyond is asked again by its rollout.
const MAX_CALLS: usize = 32;
/// The longest any call takes.
const LONGEST: Duration = Duration::from_secs(60);
/// The most of an answer that is repeated as its reason, bytes and characters.
const MAX_ANSWER_BYTES: usize = 4_096;
const MAX_REASON_CHARS: usize = 200;
/// How long a Prometheus may take, and the longest of its answers that is read.
const METRIC_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_METRIC_BYTES: usize = 64 << 10;
/// "Never": what a gate answers to end a canary.
const GONE: u16 = 410;

/// See the module.
#[derive(Debug, Clone)]
pub struct Webhooks {
    http: Client,
    me: Actor,
    asks: mpsc::Sender<Ask>,
    places: Arc<Semaphore>,
}

impl Webhooks {
    /// Answers go to the control loop through `asks`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(me: Actor, asks: mpsc::Sender<Ask>) -> reqwest::Result<Self> {
        Ok(Self { http: direct_client(LONGEST)?, me, asks, places: Arc::new(Semaphore::new(MAX_CALLS)) })
    }

    /// Asks; returns at once.
    pub fn call(&self, call: GateCall) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let Self { http, me, asks, .. } = self.clone();
        tokio::spawn(async move {
            let answer = ask(&http, &call).await;
            let GateCall { canary, question, .. } = call;
            let request = PersonRequest::GateAnswered { canary, question, answer };
            // Nobody waits for what the loop says to it.
            let (told, _) = oneshot::channel();
            let _ = asks.send(Ask { actor: me, request, answer: told }).await;
            drop(place);
        });
    }

    /// Reads a metric of both versions; returns at once. What cannot be read is no evidence.
    pub fn read(&self, call: MetricCall) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let Self { http, me, asks, .. } = self.clone();
        tokio::spawn(async move {
            let MetricCall { canary, metric, url, queries: [of_stable, of_canary] } = call;
            let both = (value(&http, &url, &of_stable).await, value(&http, &url, &of_canary).await);
            if let (Some(stable), Some(here)) = both {
                let reading = Reading { metric, stable, canary: here };
                let (told, _) = oneshot::channel();
                let request = PersonRequest::MetricRead { canary, reading };
                let _ = asks.send(Ask { actor: me, request, answer: told }).await;
            } else {
                tracing::warn!(canary, metric, url, "the metric could not be read");
            }
            drop(place);
        });
    }
}

/// One value of an instant query.
async fn value(http: &Client, url: &str, query: &str) -> Option<f64> {
    let url = format!("{}/api/v1/query", url.trim_end_matches('/'));
    let response = http.get(url).timeout(METRIC_TIMEOUT).query(&[("query", query)]).send().await.ok()?;
    let body = bounded_body(response.error_for_status().ok()?, MAX_METRIC_BYTES).await?;
    let answer: serde_json::Value = serde_json::from_slice(&body).ok()?;
    // A scalar is [time, value], a vector [{value: [time, value]}].
    let result = &answer["data"]["result"];
    let value = if result[0].is_object() { &result[0]["value"][1] } else { &result[1] };
    value.as_str()?.parse().ok().filter(|value: &f64| value.is_finite())
}

async fn ask(http: &Client, call: &GateCall) -> GateAnswer {
    let request = http.post(&call.url).timeout(Duration::from_millis(call.timeout_ms)).json(&call.body);
    let response = match request.send().await {
        Ok(response) => response,
        Err(why) if why.is_timeout() => {
            return GateAnswer::Unreachable(format!("no answer in {} ms", call.timeout_ms));
        }
        Err(_) => return GateAnswer::Unreachable("no connection".to_owned()),
    };
    let status = response.status();
    if status.is_success() {
        return GateAnswer::Open;
    }
    let body = bounded_body(response, MAX_ANSWER_BYTES).await.unwrap_or_default();
    let said: String =
        String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect();
    let why = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    match status.as_u16() {
        GONE => GateAnswer::Forbidden(why),
        500.. => GateAnswer::Unreachable(why),
        _ => GateAnswer::Closed(why),
    }
}
