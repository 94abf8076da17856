//! The action client against a real HTTP server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response as Answer};
use protocol::action::{ActionKind, ActionRequest, RenewRequest};
use protocol::id::{EndpointId, Epoch, ServiceName};

use super::*;
use crate::token::Token;

type Seen = Arc<Mutex<Vec<String>>>;
type Script = fn(&str) -> Answer;

async fn play(State((seen, script)): State<(Seen, Script)>, request: Request) -> Answer {
    let shown = request.headers().get("authorization").map_or("none", |v| v.to_str().unwrap()).to_owned();
    let line = format!("{} {} {shown}", request.method(), request.uri());
    let answer = script(&line);
    seen.lock().unwrap().push(line);
    answer
}

fn receipt(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","applied_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T00:00:10Z",
            "live_state_hash_before":"a","live_state_hash_after":"b"}}"#
    )
}

async fn proxy(script: Script) -> (Url, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let seen = Seen::default();
    let routes = Router::new().fallback(play).with_state((Arc::clone(&seen), script));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, seen)
}

fn put(epoch: u64) -> Verb {
    Verb::Put(ActionRequest {
        epoch: Epoch(epoch),
        lease_ms: 5_000,
        service: ServiceName::new("cart").unwrap(),
        kind: ActionKind::EjectEndpoint { endpoint: EndpointId::new("10.0.0.1:80").unwrap() },
        reason: String::new(),
        confidence: 0.9,
        issued_by: "lightsout".into(),
    })
}

fn client(admin: Url) -> (ActionClient, mpsc::Receiver<Reply>) {
    let target = Target { admin, token: Some(Token::new("secret").unwrap()) };
    let proxies = ProxyTable::new(BTreeMap::from([("p1".to_owned(), target)]), None);
    let (replies, received) = mpsc::channel(64);
    let http = MeshClient::new(None).unwrap();
    (ActionClient::new(http, proxies, replies, Metrics::new().unwrap()), received)
}

fn command(action: &str, verb: Verb) -> Command {
    Command { proxy: "p1".into(), action: action.into(), verb }
}

#[tokio::test]
async fn commands_arrive_in_order_with_the_token_and_their_answers_are_read() {
    let (url, seen) =
        proxy(
            |line| {
                if line.starts_with("DELETE") { "".into_response() } else { receipt("act-1").into_response() }
            },
        )
        .await;
    let (mut client, mut replies) = client(url);
    client.send(command("act-1", put(3))).unwrap();
    client.send(command("act-1", Verb::Renew(RenewRequest { epoch: Epoch(3), lease_ms: 5_000 }))).unwrap();
    client.send(command("act-1", Verb::Remove { epoch: 3 })).unwrap();
    assert!(
        matches!(replies.recv().await.unwrap().outcome, Outcome::Taken(r) if r.live_state_hash_after == "b")
    );
    assert!(matches!(replies.recv().await.unwrap().outcome, Outcome::Taken(_)));
    assert_eq!(replies.recv().await.unwrap().outcome, Outcome::Removed);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen,
        [
            "PUT /v1/actions/act-1 Bearer secret",
            "POST /v1/actions/act-1/renew Bearer secret",
            "DELETE /v1/actions/act-1?epoch=3 Bearer secret",
        ]
    );
}

#[tokio::test]
async fn refusals_are_told_in_the_proxys_words_on_one_line() {
    let (url, _) = proxy(|line| {
        let status = if line.starts_with("DELETE") { 404 } else { 422 };
        let problem = r#"{"status":422,"title":"Floor","detail":"half must stay\u001b[2J"}"#;
        (axum::http::StatusCode::from_u16(status).unwrap(), problem).into_response()
    })
    .await;
    let (mut client, mut replies) = client(url);
    client.send(command("act-1", put(1))).unwrap();
    client.send(command("act-1", Verb::Remove { epoch: 1 })).unwrap();
    let Outcome::Refused(refusal) = replies.recv().await.unwrap().outcome else { panic!("taken") };
    assert_eq!((refusal.status, refusal.detail.as_str()), (422, "Floor: half must stay [2J"));
    assert_eq!(replies.recv().await.unwrap().outcome, Outcome::Removed, "what is not there is removed");
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_refusals() {
    let scripts: [Script; 4] = [
        |_| receipt("act-2").into_response(),
        |_| "no receipt".into_response(),
        |_| "x".repeat(MAX_ANSWER_BYTES + 1).into_response(),
        |_| axum::response::Redirect::temporary("http://127.0.0.1:1/").into_response(),
    ];
    for script in scripts {
        let (url, _) = proxy(script).await;
        let (mut client, mut replies) = client(url);
        client.send(command("act-1", put(1))).unwrap();
        assert!(matches!(replies.recv().await.unwrap().outcome, Outcome::Refused(_)));
    }
}

#[tokio::test]
async fn an_id_cannot_leave_its_path() {
    let (url, seen) = proxy(|_| "".into_response()).await;
    let (mut client, mut replies) = client(url);
    client.send(command("../../freeze?x", Verb::Remove { epoch: 1 })).unwrap();
    replies.recv().await.unwrap();
    assert!(seen.lock().unwrap()[0].starts_with("DELETE /v1/actions/..%2F..%2Ffreeze%3Fx?epoch=1"));
}

#[tokio::test]
async fn a_proxy_that_is_gone_or_unknown_is_a_refusal_without_a_status() {
    let (mut client, mut replies) = client(Url::parse("http://127.0.0.1:1/").unwrap());
    client.send(command("act-1", put(1))).unwrap();
    let Outcome::Refused(refusal) = replies.recv().await.unwrap().outcome else { panic!("taken") };
    assert_eq!(refusal.status, 0);
    let unknown = Command { proxy: "p9".into(), action: "act-1".into(), verb: put(1) };
    assert!(client.send(unknown).is_err());
}
