//! The runtime with a scripted control loop, a real store and a real proxy to command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::action::mesh_client::MeshClient;
use crate::audit::AuditReader;
use crate::domain::{Actor, ActorKind, Event, Mode, PersonRequest};
use crate::ingest::Target;

type Script = fn() -> (Vec<(Actor, Event)>, Vec<Command>);
type Loop = Box<dyn FnMut(Turn) -> (TickOutput, View) + Send>;
type Turns = Arc<Mutex<Vec<Turn>>>;

/// A proxy that counts what it is asked.
async fn proxy() -> (Url, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let routes = axum::Router::new().fallback(move || {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

struct Rig {
    runtime: Runtime<Loop>,
    turns: Turns,
    asks: mpsc::Sender<Ask>,
    windows: mpsc::Sender<protocol::telemetry::Window>,
    events: broadcast::Receiver<Arc<Record>>,
    asked: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

fn brain() -> Actor {
    Actor { kind: ActorKind::Brain, id: "lightsout".into() }
}

fn view(now_ms: i64) -> View {
    View {
        at_ms: now_ms,
        mode: Mode::Autonomous,
        frozen: false,
        epoch: 1,
        services: Vec::new(),
        incidents: Vec::new(),
        proposals: Vec::new(),
        actions: Vec::new(),
        proxies: Vec::new(),
        autonomy: Vec::new(),
        canaries: Vec::new(),
        budgets: crate::domain::Budgets::default(),
    }
}

/// A loop that does the same at every turn, answers everybody, and keeps what it was given.
async fn rig(each: Script) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let store = AuditStore::open(folder.path()).await.unwrap();
    let (url, asked) = proxy().await;
    let target = Target { admin: url, token: None };
    let proxies = ProxyTable::new(BTreeMap::from([("p1".to_owned(), target)]), None);
    let (windows, windows_out) = mpsc::channel(64);
    let (replies, replies_out) = mpsc::channel(64);
    let (asks, asks_out) = mpsc::channel(64);
    let (_, policies_out) = mpsc::channel(1);
    let metrics = Metrics::new().unwrap();
    let client = ActionClient::new(MeshClient::new(None).unwrap(), proxies.clone(), replies, metrics.clone());
    let live = Live { view: view(0), audit_ok: true, audit_seq: 0 };
    let (events, listening) = broadcast::channel(64);
    let shared = Shared {
        fleet: Fleet::default(),
        proxies,
        live: Arc::new(ArcSwap::from_pointee(live)),
        events,
        metrics,
    };
    let turns = Turns::default();
    let kept = Arc::clone(&turns);
    let turn = move |turn: Turn| {
        let (events, commands) = each();
        let done =
            |(id, _, _): &(u64, Actor, PersonRequest)| (*id, PersonAnswer::Done(serde_json::json!({})));
        let answers = turn.input.requests.iter().map(done).collect();
        let shown = view(turn.input.now_ms);
        kept.lock().unwrap().push(turn);
        (TickOutput { events, commands, answers, ..TickOutput::default() }, shown)
    };
    let inbox = Inbox::new(windows_out, replies_out, asks_out, policies_out);
    let runtime =
        Runtime::new(Box::new(turn) as Loop, store, inbox, tokio::sync::mpsc::channel(1).1, client, shared);
    Rig { runtime, turns, asks, windows, events: listening, asked, folder }
}

fn one_removal_and_one_renewal() -> (Vec<(Actor, Event)>, Vec<Command>) {
    use protocol::action::RenewRequest;
    use protocol::id::Epoch;
    let command = |action: &str, verb| Command { proxy: "p1".into(), action: action.into(), verb };
    let renew = Verb::Renew(RenewRequest { epoch: Epoch(1), lease_ms: 5_000 });
    let long = "x".repeat(8_000);
    let event = Event::BrainStarted { epoch: 1, version: long };
    (vec![(brain(), event)], vec![command("act-1", renew), command("act-2", Verb::Remove { epoch: 1 })])
}

async fn ask(rig: &Rig, request: PersonRequest) -> oneshot::Receiver<Told> {
    let (answer, told) = oneshot::channel();
    rig.asks.send(Ask { actor: brain(), request, answer }).await.unwrap();
    told
}

async fn until_asked(rig: &Rig, times: usize) {
    for _ in 0..200 {
        if rig.asked.load(Ordering::SeqCst) >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("asked {} times, not {times}", rig.asked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn events_are_durable_before_commands_are_sent_and_then_published() {
    let mut rig = rig(one_removal_and_one_renewal).await;
    rig.runtime.step(1_000).await;
    let reader = AuditReader::open(rig.folder.path()).await.unwrap();
    assert_eq!(reader.verify().await.unwrap().records, 1);
    assert_eq!(rig.events.recv().await.unwrap().seq, 1);
    until_asked(&rig, 2).await;
    assert_eq!(rig.runtime.live.load().audit_seq, 1);
}

#[tokio::test]
async fn without_the_audit_log_only_what_lets_go_is_sent_and_people_are_told() {
    let mut rig = rig(one_removal_and_one_renewal).await;
    rig.runtime.store.fill().await.unwrap();
    let told = ask(&rig, PersonRequest::Unfreeze).await;
    for turn in 0..8 {
        rig.runtime.step(1_000 + turn * 250).await;
    }
    assert!(matches!(told.await.unwrap(), Told::Unavailable(_)));
    assert!(!rig.runtime.live.load().audit_ok);
    assert!(rig.events.try_recv().is_err(), "nothing is published that is not durable");
    // From the second turn on the loop knows, and is told what became of the renewal.
    {
        let turns = rig.turns.lock().unwrap();
        assert!(turns[0].input.audit_ok && !turns[1].input.audit_ok);
        assert!(turns[1].input.replies.iter().any(|reply| matches!(
            (&reply.command.verb, &reply.outcome),
            (Verb::Renew(_), Outcome::Refused(refusal)) if refusal.detail.contains("audit")
        )));
    }
    let told = ask(&rig, PersonRequest::SetMode { mode: Mode::Autonomous, kind: None }).await;
    let freeze = ask(&rig, PersonRequest::Freeze { revert_all: true }).await;
    rig.runtime.step(4_000).await;
    assert!(matches!(told.await.unwrap(), Told::Unavailable(_)));
    assert!(freeze.await.is_ok(), "the kill switch reaches the loop");
    until_asked(&rig, 9).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.asked.load(Ordering::SeqCst), 9, "nine removals, no renewal");

    rig.runtime.store.make_room().await.unwrap();
    rig.runtime.step(5_000).await;
    let reader = AuditReader::open(rig.folder.path()).await.unwrap();
    let proof = reader.verify().await.unwrap();
    assert_eq!((proof.ok, proof.records), (true, 10), "what had to wait is written in the end");
    assert!(rig.runtime.live.load().audit_ok);
}

#[tokio::test]
async fn a_higher_epoch_on_a_proxy_is_exceeded_durably_and_slowly() {
    let mut rig = rig(|| (Vec::new(), Vec::new())).await;
    let status = |epoch: u64| {
        serde_json::from_value(serde_json::json!({
            "proxy": "p1", "boot": "b", "version": "0", "protocol": protocol::PROTOCOL_VERSION, "uptime_s": 1,
            "config_hash": "", "live_state_hash": "", "epoch": epoch, "frozen": false, "draining": false,
            "services": [], "leases": []
        }))
        .unwrap()
    };
    rig.runtime.fleet.note("p1", 1_000, status(1));
    rig.runtime.step(1_000).await;
    rig.runtime.fleet.note("p1", 1_250, status(70));
    rig.runtime.step(1_250).await;
    rig.runtime.fleet.note("p1", 1_500, status(900));
    rig.runtime.step(1_500).await;
    let epochs: Vec<_> = rig.turns.lock().unwrap().iter().map(|turn| turn.epoch).collect();
    assert_eq!(epochs, [None, Some(71), None], "a quarrel of two brains is slow");
    rig.runtime.raised_at = None;
    rig.runtime.fleet.note("p1", 1_750, status(u64::MAX));
    rig.runtime.step(1_750).await;
    assert_eq!(rig.turns.lock().unwrap()[3].epoch, None, "nobody ever took that one");
    let folder = rig.folder;
    drop(rig.runtime);
    assert_eq!(AuditStore::open(folder.path()).await.unwrap().epoch(), 72);
}

#[tokio::test]
async fn windows_reach_the_loop_in_order_and_a_clock_that_goes_back_is_told() {
    let mut rig = rig(|| (Vec::new(), Vec::new())).await;
    let window = |seq: u64, start_ms: i64| protocol::telemetry::Window {
        proxy: "p1".into(),
        boot: "b".into(),
        seq,
        start_ms,
        duration_ms: 1_000,
        config_hash: String::new(),
        cells: Vec::new(),
        clients: Vec::new(),
        clients_other: None,
    };
    for sent in [window(2, 11_000), window(1, 10_000), window(1, 10_000), window(0, 1_000)] {
        rig.windows.send(sent).await.unwrap();
    }
    rig.runtime.step(12_000).await;
    rig.runtime.step(14_000).await;
    rig.runtime.step(13_000).await;
    let turns = rig.turns.lock().unwrap();
    let seqs: Vec<u64> = turns.iter().flat_map(|t| t.input.windows.iter().map(|w| w.seq)).collect();
    assert_eq!(seqs, [1, 2]);
    assert_eq!(turns[2].input.now_ms, 13_000);
    let refused = |reason| rig.runtime.metrics.windows_refused.with_label_values(&[reason]).get();
    assert_eq!((refused("duplicate"), refused("late")), (1, 1));
    assert_eq!(rig.runtime.live.load().view.proxies[0].windows_refused, 2);
}

#[tokio::test]
async fn a_loop_that_panics_ends_its_task_and_is_not_forgotten() {
    let rig = rig(|| panic!("a bug")).await;
    let ended = tokio::spawn(rig.runtime.run(CancellationToken::new())).await;
    assert!(ended.is_err_and(|why| why.is_panic()));
    assert!(AuditStore::open(rig.folder.path()).await.is_ok(), "the store is let go of");
}
