//! Canaries in the loop: what is asked of the proxies, step by step, and after a crash.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use protocol::snapshot::ProxyStatus;
use serde_json::{Value, json};

use super::*;
use crate::canary::{Canary, CanarySpec, Order, Phase};
use crate::domain::{Outcome, Refusal, Reply, TickOutput, Verb};

/// Two proxies of `cart` that obey, on paper.
struct Stage {
    brain: ControlLoop,
    now_ms: i64,
    leases: BTreeMap<(String, String), Value>,
    replies: Vec<Reply>,
    kept: BTreeMap<String, String>,
    said: Vec<Event>,
    refuses: bool,
    weight_of_v2: u32,
    asked: Vec<(u64, Actor, PersonRequest)>,
}

fn ada() -> Actor {
    Actor { kind: ActorKind::Person, id: "ada".into() }
}

fn spec(more: Value) -> Box<CanarySpec> {
    let mut spec = json!({ "service": "cart", "stable": "v1", "canary": "v2", "min_bake_s": 1 });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Box::new(serde_json::from_value(spec).unwrap())
}

impl Stage {
    fn new(mode: Mode) -> Self {
        Self {
            brain: ControlLoop::new(Policies::shipped().unwrap(), mode, LoopOptions::default()),
            now_ms: 1_700_000_000_000,
            leases: BTreeMap::new(),
            replies: Vec::new(),
            kept: BTreeMap::new(),
            said: Vec::new(),
            refuses: false,
            weight_of_v2: 0,
            asked: Vec::new(),
        }
    }

    fn fleet(&self) -> BTreeMap<String, ProxyStatus> {
        let endpoint = |port: u16, version: &str, weight: u32| {
            json!({ "endpoint": format!("10.0.0.1:{port}"), "version": version, "health": "unknown",
                "weight_configured": weight, "weight": weight, "ejected": false, "breaker": "closed", "in_flight": 0 })
        };
        let endpoints = [
            endpoint(1, "v1", 100),
            endpoint(2, "v1", 100),
            endpoint(3, "v2", self.weight_of_v2),
            endpoint(4, "v2", 0),
        ];
        let status = |proxy: &str| {
            let leases: Vec<&Value> =
                self.leases.iter().filter(|((p, _), _)| p == proxy).map(|(_, row)| row).collect();
            let status = json!({
                "proxy": proxy, "boot": "b", "version": "0", "protocol": protocol::PROTOCOL_VERSION, "uptime_s": 1,
                "config_hash": "", "live_state_hash": "", "epoch": 1, "frozen": false, "draining": false,
                "services": [{ "service": "cart", "algorithm": "random", "endpoints": endpoints }], "leases": leases
            });
            (proxy.to_owned(), serde_json::from_value(status).unwrap())
        };
        ["p1", "p2"].into_iter().map(status).collect()
    }

    fn obey(&mut self, command: Command) -> Reply {
        let key = (command.proxy.clone(), command.action.clone());
        let receipt = json!({ "id": command.action, "applied_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-01T00:00:00Z", "live_state_hash_before": "", "live_state_hash_after": "" });
        let outcome = match &command.verb {
            Verb::Put(_) if self.refuses => {
                Outcome::Refused(Refusal { status: 422, detail: "the floor is 50 %".into() })
            }
            Verb::Put(request) => {
                let mut row = serde_json::to_value(request).unwrap();
                row.as_object_mut().unwrap().extend(receipt.as_object().unwrap().clone());
                self.leases.insert(key, row);
                Outcome::Taken(serde_json::from_value(receipt).unwrap())
            }
            Verb::Renew(_) => Outcome::Taken(serde_json::from_value(receipt).unwrap()),
            Verb::Remove { .. } => {
                self.leases.remove(&key);
                Outcome::Removed
            }
        };
        Reply { command, at_ms: self.now_ms, outcome }
    }

    fn tick(&mut self) -> TickOutput {
        self.now_ms += 250;
        let input = TickInput {
            now_ms: self.now_ms,
            fleet: self.fleet(),
            replies: std::mem::take(&mut self.replies),
            requests: std::mem::take(&mut self.asked),
            audit_ok: true,
            ..TickInput::default()
        };
        let mut out = self.brain.tick(input);
        for command in out.commands.drain(..) {
            let reply = self.obey(command);
            self.replies.push(reply);
        }
        self.kept.extend(out.canaries.iter().map(|kept| (kept.id.clone(), kept.state.clone())));
        self.said.extend(out.events.iter().map(|(_, event)| event.clone()));
        out
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    fn ask(&mut self, request: PersonRequest) -> PersonAnswer {
        self.asked.push((1, ada(), request));
        self.tick().answers.remove(0).1
    }

    fn order(&mut self, order: Order) -> PersonAnswer {
        self.order_by(order, false)
    }

    fn order_by(&mut self, order: Order, answers_only: bool) -> PersonAnswer {
        let (canary, reason) = ("can-1".into(), String::new());
        self.ask(PersonRequest::OrderCanary { canary, order, reason, answers_only })
    }

    /// What each proxy holds, by kind and parameters.
    fn held(&self, proxy: &str) -> Vec<ActionKind> {
        let own = self.leases.iter().filter(|((p, _), _)| p == proxy);
        own.map(|(_, row)| serde_json::from_value(row["kind"].clone()).unwrap()).collect()
    }

    fn phase(&self) -> Phase {
        self.brain.view().canaries[0].view.phase
    }

    /// The brain is killed; another one begins with what was kept.
    fn kill(&mut self) {
        let read = |state: &String| serde_json::from_str::<Canary>(state).unwrap();
        let canaries: Vec<Canary> = self.kept.values().map(read).collect();
        let options = LoopOptions { epoch: 2, first_action: 100, ..LoopOptions::default() };
        self.brain = ControlLoop::new(Policies::shipped().unwrap(), Mode::Advisory, options);
        self.brain.recall_canaries(canaries, 1);
        self.replies.clear();
    }
}

fn split(weight: u32) -> ActionKind {
    ActionKind::SetCanaryWeight {
        stable: "v1".into(),
        canary: "v2".into(),
        weight,
        preview: None,
        copies: None,
    }
}

#[test]
fn a_split_is_held_by_every_proxy_and_the_next_one_is_put_before_it_goes() {
    let mut stage = Stage::new(Mode::Advisory);
    let answer = stage.ask(PersonRequest::StartCanary { spec: spec(json!({ "steps": [5, 100] })) });
    assert_eq!(answer, PersonAnswer::Done(json!({ "id": "can-1", "phase": "pending" })));
    stage.run(4);
    assert_eq!((stage.held("p1"), stage.held("p2")), (vec![split(5)], vec![split(5)]));
    stage.order(Order::Promote);
    let mut most = stage.held("p1").len();
    for _ in 0..8 {
        stage.tick();
        assert!(!stage.held("p1").is_empty(), "no moment without");
        most = most.max(stage.held("p1").len());
    }
    assert_eq!((most, stage.phase()), (2, Phase::Promoted));
    assert_eq!(stage.held("p2"), [ActionKind::PromoteCanary { version: "v2".into() }]);
    stage.order(Order::Rollback);
    stage.run(6);
    assert_eq!(
        (stage.phase(), stage.held("p1")),
        (Phase::RolledBack, vec![ActionKind::RollbackCanary { version: "v2".into() }])
    );
    stage.run(300);
    assert!(stage.held("p1").is_empty(), "the file gives it nothing");
}

#[test]
fn who_may_only_answer_steers_no_canary_that_asks_for_nothing() {
    let mut stage = Stage::new(Mode::Advisory);
    stage.ask(PersonRequest::StartCanary { spec: spec(json!({ "steps": [5, 50], "approval": "steps" })) });
    stage.run(4);
    for order in [Order::Pause, Order::Resume, Order::Promote, Order::Rollback] {
        let answer = stage.order_by(order, true);
        assert!(matches!(&answer, PersonAnswer::Conflict(why) if why.contains("does not ask")), "{answer:?}");
    }
    assert_eq!((stage.phase(), stage.held("p1")), (Phase::Step, vec![split(5)]));
}

#[test]
fn a_killed_brain_goes_on_at_the_same_share_with_a_lease_of_its_own() {
    let mut stage = Stage::new(Mode::Advisory);
    stage.ask(PersonRequest::StartCanary { spec: spec(json!({ "steps": [5, 100] })) });
    stage.run(4);
    stage.kill();
    // What the old one put runs out by itself.
    stage.leases.clear();
    stage.run(4);
    assert_eq!((stage.phase(), stage.held("p1")), (Phase::Step, vec![split(5)]));
    assert!(stage.leases.contains_key(&("p1".to_owned(), "act-100".to_owned())), "{:?}", stage.leases.keys());
    let again = stage.ask(PersonRequest::StartCanary { spec: spec(json!({})) });
    assert!(matches!(again, PersonAnswer::Invalid(why) if why.contains("can-1 is under way")));
}

#[test]
fn what_proxies_refuse_holds_the_canary_and_is_tried_again() {
    let mut stage = Stage::new(Mode::Advisory);
    stage.refuses = true;
    stage.ask(PersonRequest::StartCanary { spec: spec(json!({ "steps": [5, 100] })) });
    stage.run(8);
    let hold = stage.brain.view().canaries[0].view.hold.clone().unwrap();
    assert!(hold.why.contains("the floor is 50 %"), "{hold:?}");
    stage.refuses = false;
    stage.run(40);
    assert_eq!(stage.held("p1"), [split(5)]);
    stage.ask(PersonRequest::Freeze { revert_all: true });
    stage.run(4);
    assert_eq!(stage.held("p1"), [], "the kill switch takes canaries back, too");
}

#[test]
fn a_new_version_gets_its_canary_by_policy_once() {
    let mut stage = Stage::new(Mode::Autonomous);
    stage.run(200);
    assert!(stage.brain.view().canaries.is_empty(), "not unless the policy says so");
    let text = "discovery: { enabled: true, settle_s: 10, template: { steps: [5, 100], min_bake_s: 1 } }";
    stage.brain.set_policies(Policies::from_texts(&[("canaries.yaml", text)]).unwrap());
    stage.run(30);
    assert!(stage.brain.view().canaries.is_empty(), "it must have been there for a while");
    stage.run(20);
    let found = stage.brain.view().canaries[0].view.clone();
    assert_eq!((found.stable.as_str(), found.canary.as_str(), found.by.as_str()), ("v1", "v2", "brain"));
    assert_eq!(stage.held("p1"), [split(5)]);
    stage.order(Order::Rollback);
    stage.run(600);
    assert_eq!(stage.brain.view().canaries.len(), 1, "a version has one trial");
}
