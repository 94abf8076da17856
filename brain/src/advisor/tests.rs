//! A model that is dead, slow, endless or hostile, over the wire.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::mpsc as channel;

use super::*;
use crate::decision::advisor::{Question, judged};

fn question() -> Question {
    let incident: crate::domain::Incident = serde_json::from_value(json!({
        "id": "inc-7", "state": "open", "service": "cart", "cause": {"kind": "dependency", "service": "cart"},
        "confidence": 0.9, "onset_ms": 0, "opened_ms": 0, "updated_ms": 0, "summary": "s", "alternatives": [],
        "evidence": [{"signal": "errors", "series": "cart@10.1.2.3:80", "observed": 0.31, "baseline": 0.01,
            "requests": 900, "window_s": 10, "since_ms": 0, "log_e": 30.0}]
    }))
    .unwrap();
    let now = crate::decision::Circumstances::default();
    Question::of(&incident, crate::decision::advisor::menu(&incident, &now, &[]), false)
}

fn good() -> String {
    json!({"choice": "a1", "ranking": ["a1"], "explanation": "Retries make it worse [e1].",
        "cites": [{"evidence": "e1", "field": "observed", "value": 0.31}]})
    .to_string()
}

type Answer = fn() -> Response;

/// A provider that answers everything like this; the bodies it was sent.
async fn server(answer: Answer) -> (reqwest::Url, channel::UnboundedReceiver<Value>) {
    let (bodies_in, bodies) = channel::unbounded_channel();
    let routes = axum::Router::new().fallback(post(move |body: axum::Json<Value>| async move {
        bodies_in.send(body.0).unwrap();
        answer()
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, bodies)
}

fn advisor(provider: Provider, url: reqwest::Url) -> Advisor {
    let key = "sk-very-secret".to_owned();
    let client = Client::new(provider, url, "m-1".to_owned(), key, Duration::from_millis(700)).unwrap();
    let limits = Limits { calls: 100, tokens: 1_000_000, usd: None, usd_per_million_tokens: 0.0 };
    Advisor::new(client, limits)
}

fn chat(text: &str) -> Response {
    axum::Json(json!({"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 12}}))
        .into_response()
}

#[tokio::test]
async fn each_provider_is_spoken_to_in_its_own_way_and_heard() {
    let (url, mut bodies) = server(|| chat(&good())).await;
    let mut openai = advisor(Provider::OpenAi, url.clone());
    let said = openai.answer(&question()).await.unwrap();
    assert_eq!(judged(&question(), &said).unwrap().choice.unwrap().action.kind.name(), "set_retry_budget");
    let body = bodies.recv().await.unwrap();
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert!(!body.to_string().contains("10.1.2.3"), "addresses stay here: {body}");
    openai.answer(&question()).await.unwrap();
    assert!(bodies.try_recv().is_err(), "the same question is not asked twice");
    advisor(Provider::Azure, url).answer(&question()).await.unwrap();
    let (url, mut bodies) = server(|| {
        let input: Value = serde_json::from_str(&good()).unwrap();
        let used = json!({"type": "tool_use", "name": "advise", "input": input});
        axum::Json(json!({"content": [{"type": "text", "text": "hm"}, used], "usage": {"input_tokens": 1, "output_tokens": 2}}))
            .into_response()
    })
    .await;
    let said = advisor(Provider::Anthropic, url).answer(&question()).await.unwrap();
    assert!(judged(&question(), &said).is_ok());
    assert_eq!(bodies.recv().await.unwrap()["tool_choice"]["name"], "advise");
}

#[tokio::test]
async fn a_hostile_or_dead_server_costs_a_bounded_time_and_says_nothing() {
    let answers: [Answer; 8] = [
        || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        || (StatusCode::TEMPORARY_REDIRECT, [("location", "http://127.0.0.1:1/")]).into_response(),
        || "no JSON at all".into_response(),
        || axum::Json(json!({"choices": []})).into_response(),
        || axum::Json(json!({"choices": [{"message": {"content": 7}}]})).into_response(),
        || vec![b'x'; 300_000].into_response(),
        || {
            Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>())
                .into_response()
        },
        || {
            let drip = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::io::Error>(vec![b' ']), ()))
            });
            Body::from_stream(drip).into_response()
        },
    ];
    for answer in answers {
        let (url, _bodies) = server(answer).await;
        let asked = tokio::time::timeout(Duration::from_secs(20), async {
            advisor(Provider::OpenAi, url).answer(&question()).await
        });
        let why = asked.await.unwrap().unwrap_err();
        assert!(!why.contains("sk-very-secret"), "{why}");
    }
}

#[tokio::test]
async fn a_dead_model_is_not_asked_again_at_once() {
    let (url, mut bodies) = server(|| StatusCode::BAD_GATEWAY.into_response()).await;
    let mut dead = advisor(Provider::OpenAi, url);
    for _ in 0..5 {
        assert!(dead.answer(&question()).await.is_err());
    }
    let mut asked = 0;
    while bodies.try_recv().is_ok() {
        asked += 1;
    }
    assert_eq!(asked, 3, "then the breaker opens");
}

#[test]
fn an_answer_that_invents_is_not_heard() {
    let invented = |change: fn(&mut Value)| {
        let mut answer: Value = serde_json::from_str(&good()).unwrap();
        change(&mut answer);
        judged(&question(), &answer.to_string())
    };
    assert!(invented(|_| {}).is_ok());
    assert!(invented(|a| a["choice"] = "a9".into()).is_err());
    assert!(invented(|a| a["choice"] = "eject_endpoint".into()).is_err());
    assert!(invented(|a| a["cites"][0]["value"] = 0.99.into()).is_err(), "numbers are recomputed");
    assert!(invented(|a| a["cites"][0]["evidence"] = "e2".into()).is_err());
    assert!(invented(|a| a["cites"] = json!([])).is_err());
    assert!(invented(|a| a["ranking"] = json!(["a1", "a1"])).is_err());
    assert!(invented(|a| a["action"] = json!({"type": "eject_endpoint"})).is_err());
    assert!(invented(|a| a["explanation"] = " ".into()).is_err());
    assert_eq!(invented(|a| a["choice"] = "abstain".into()).unwrap().choice, None);
}
