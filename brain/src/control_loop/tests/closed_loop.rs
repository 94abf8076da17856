//! The loop and a mesh that answers: the whole story, and the ways in which it may not go on.

use super::*;
use crate::domain::{ActionPhase, IncidentState, ProposalState, Refusal};
use protocol::snapshot::Health;

fn sick(seed: u64, mode: Mode, share: f64, to_s: f64) -> World {
    let mut world = World::new(shop(200.0), seed, mode);
    world.mesh.faults.push(Fault { to_s, ..fault("cart", Some(2), 20.0, share) });
    world
}

fn is_probe(event: &Event) -> bool {
    matches!(event, Event::Intent { action, .. } if action.action.kind.name() == "set_weights")
}

#[test]
fn a_sick_endpoint_is_taken_out_probed_and_given_back_when_it_is_well() {
    let mut world = sick(1, Mode::Autonomous, 0.3, 60.0);
    world.run(160);
    let story = world.story();
    let told: Vec<&str> =
        story.iter().map(String::as_str).filter(|k| !["renewed", "incident_updated"].contains(k)).collect();
    let expected = [
        "incident_opened",
        "proposal",
        "verdict allow",
        "intent eject_endpoint",
        "receipt",
        "effect helped",
        "intent set_weights",
        "receipt",
        "undo",
        "action_ended",
        "intent eject_endpoint",
        "receipt",
        "undo",
        "action_ended",
    ];
    assert_eq!(told[..expected.len()], expected, "{story:?}");
    assert_eq!(told.last(), Some(&"incident_closed"), "{story:?}");
    assert_eq!(world.mesh.live_leases(), 0);
    assert_eq!(world.opened().len(), 1);
    let share = world.failures_seen as f64 / world.requests_seen as f64;
    println!("gray 30 % for 40 s: users saw {:.2} % failures over 160 s", share * 100.0);
    assert!(share < 0.006, "{share}");
}

#[test]
fn advisory_waits_and_what_a_person_approves_is_done() {
    let mut world = sick(2, Mode::Advisory, 0.3, 1e9);
    world.run(60);
    assert_eq!(world.count(is_intent), 0);
    let view = world.brain.view();
    let pending: Vec<_> = view.proposals.iter().filter(|p| p.state == ProposalState::Pending).collect();
    assert_eq!(pending.len(), 1);
    let (proposal, digest) = (pending[0].id.clone(), pending[0].digest.clone());
    let approve = |digest: &str| PersonRequest::Approve {
        proposal: proposal.clone(),
        digest: digest.to_owned(),
        reason: "looks right".into(),
    };
    world.requests = vec![approve("stale"), approve(&digest), approve(&digest)];
    world.run(30);
    assert!(matches!(world.answers[0], PersonAnswer::Conflict(_)));
    assert!(matches!(world.answers[1], PersonAnswer::Done(_)), "{:?}", world.answers);
    assert!(matches!(world.answers[2], PersonAnswer::Conflict(_)));
    assert!(world.story().contains(&"effect helped".to_owned()), "{:?}", world.story());
}

#[test]
fn a_persons_no_is_not_fought_again() {
    let mut world = sick(3, Mode::Advisory, 0.3, 1e9);
    world.run(40);
    let proposal = world.brain.view().proposals[0].id.clone();
    world.requests = vec![PersonRequest::Reject { proposal, reason: "known".into() }];
    world.run(1);
    world.requests = vec![PersonRequest::SetMode { mode: Mode::Autonomous, kind: None }];
    world.run(300);
    assert_eq!(world.count(|e| matches!(e, Event::Proposal { .. })), 1);
    assert_eq!(world.count(is_intent), 0);
}

#[test]
fn an_undone_action_is_not_done_again() {
    let mut world = sick(4, Mode::Autonomous, 0.3, 1e9);
    world.run(30);
    let action = world.brain.view().actions[0].id.clone();
    world.requests = vec![PersonRequest::Undo { action, reason: "I am at it".into() }];
    world.run(120);
    assert!(matches!(world.answers[0], PersonAnswer::Done(_)), "{:?}", world.answers);
    assert_eq!(world.count(is_intent), 1);
    assert_eq!(world.mesh.live_leases(), 0);
}

#[test]
fn a_frozen_brain_does_nothing_and_can_take_everything_back() {
    let mut world = sick(5, Mode::Autonomous, 0.3, 1e9);
    world.run(30);
    assert_eq!(world.mesh.live_leases(), 1);
    world.requests = vec![PersonRequest::Freeze { revert_all: true }];
    world.run(60);
    assert_eq!(world.mesh.live_leases(), 0);
    assert_eq!(world.count(is_intent), 1);
    world.requests = vec![PersonRequest::Unfreeze];
    world.run(12);
    assert_eq!(world.count(is_intent), 2);
}

#[test]
fn without_audit_nothing_is_done_and_what_is_live_runs_out() {
    let mut world = sick(6, Mode::Autonomous, 0.3, 1e9);
    world.audit_ok = false;
    world.run(60);
    assert_eq!(world.count(is_intent), 0);
    world.audit_ok = true;
    world.run(8);
    assert_eq!(world.mesh.live_leases(), 1);
    world.audit_ok = false;
    world.run(20);
    assert_eq!(world.mesh.live_leases(), 0);
    assert_eq!(world.count(is_intent), 1);
}

#[test]
fn where_the_clock_goes_back_what_is_live_is_taken_back_and_nothing_begins_until_it_has_caught_up() {
    let mut world = sick(8, Mode::Autonomous, 0.3, 1e9);
    world.run(30);
    assert_eq!((world.mesh.live_leases(), world.count(is_intent)), (1, 1));
    // What leases bear is borne.
    world.clock_back_ms = 4_000;
    world.run(10);
    assert_eq!((world.mesh.live_leases(), world.count(is_intent)), (1, 1));
    world.clock_back_ms = 64_000;
    world.run(3);
    assert_eq!(world.mesh.live_leases(), 0, "while it can be told, not when it has run out");
    let told =
        |e: &Event| matches!(e, Event::Undo { why, .. } if why == "this machine's clock went back by 59 s");
    assert_eq!(world.count(told), 1);
    world.run(50);
    assert_eq!(world.count(is_intent), 1);
    world.run(60);
    assert!(world.mesh.live_leases() == 1 && world.count(is_intent) > 1);
}

#[test]
fn an_action_that_harms_is_undone_and_its_kind_only_advises_then() {
    let mut world = sick(7, Mode::Autonomous, 0.3, 1e9);
    world.mesh.harm = 0.5;
    world.run(60);
    let story = world.story();
    assert!(story.contains(&"effect harmed".to_owned()), "{story:?}");
    assert_eq!(world.mesh.live_leases(), 0);
    let (policy, now_ms) = (&world.brain.policies.guard, world.brain.now_ms);
    let mode = world.brain.ledger.effective_mode("eject_endpoint", Mode::Autonomous, policy, now_ms);
    assert_eq!(mode, Mode::Advisory);
}

#[test]
fn an_endpoint_that_its_health_check_calls_down_is_not_probed_until_it_is_up() {
    let mut world = sick(8, Mode::Autonomous, 1.0, 90.0);
    world.run(24);
    world.mesh.health.insert(("cart".into(), 2), Health::Unhealthy);
    world.run(70);
    assert_eq!(world.count(is_probe), 0);
    world.mesh.health.insert(("cart".into(), 2), Health::Healthy);
    world.run(60);
    assert_eq!(world.mesh.live_leases(), 0);
    assert_eq!(world.brain.view().incidents[0].state, IncidentState::Closed);
}

#[test]
fn a_restarted_proxy_gets_its_lease_again() {
    let mut world = sick(9, Mode::Autonomous, 0.3, 1e9);
    world.run(30);
    world.mesh.restart_proxies();
    world.run(3);
    assert_eq!(world.mesh.live_leases(), 1);
}

#[test]
fn a_refused_action_ends_and_the_target_rests_longer_each_time() {
    let mut world = sick(10, Mode::Autonomous, 0.3, 1e9);
    world.mesh.refuses = Some(Refusal { status: 422, detail: "below the floor".into() });
    world.run(80);
    let intents = world.count(is_intent);
    assert!((1..=3).contains(&intents), "{intents} intents: {:?}", world.story());
    assert_eq!(world.brain.view().actions[0].phase, ActionPhase::Failed);
}

#[test]
fn one_of_two_is_half_and_half_is_too_much() {
    let mut world = World::new(vec![Spec::new("web", "internet", 2, 200.0)], 11, Mode::Autonomous);
    world.mesh.faults.push(fault("web", Some(0), 20.0, 0.5));
    world.run(60);
    assert_eq!(world.count(is_intent), 0);
    let causes: Vec<CauseKind> = world.opened().into_iter().map(|i| i.cause.kind).collect();
    assert_eq!(causes, [CauseKind::BadEndpoint]);
}

#[test]
fn a_target_that_keeps_relapsing_is_left_to_a_person() {
    let mut world = World::new(shop(200.0), 12, Mode::Autonomous);
    for relapse in 0..6 {
        let from_s = 20.0 + f64::from(relapse) * 70.0;
        world.mesh.faults.push(Fault { to_s: from_s + 12.0, ..fault("cart", Some(2), from_s, 0.5) });
    }
    world.run(480);
    let story = world.story();
    assert_eq!(world.count(is_allow), 3, "{story:?}");
    assert!(story.contains(&"verdict ask".to_owned()), "{story:?}");
}

#[test]
fn what_touches_much_waits_for_two_different_people() {
    // One of three: 33 % of the service.
    let mut world = World::new(vec![Spec::new("web", "internet", 3, 200.0)], 13, Mode::Advisory);
    world.mesh.faults.push(fault("web", Some(0), 20.0, 0.5));
    world.run(40);
    let waiting = world.brain.view().proposals[0].clone();
    assert_eq!((waiting.state, waiting.approvals_needed), (ProposalState::Pending, 2));
    let (proposal, digest) = (waiting.id, waiting.digest);
    let reason = String::new();
    let yes =
        PersonRequest::Approve { proposal: proposal.clone(), digest: digest.clone(), reason: reason.clone() };
    world.requests = vec![yes.clone(), yes.clone()];
    world.run(2);
    assert!(matches!(world.answers[0], PersonAnswer::Done(_)), "{:?}", world.answers);
    assert!(matches!(&world.answers[1], PersonAnswer::Conflict(why) if why.contains("another person")));
    assert_eq!(world.count(is_intent), 0, "one person is not enough");
    world.person = "bob";
    world.requests = vec![yes];
    world.run(5);
    assert_eq!(world.count(is_intent), 1);
    let done = world.brain.view().proposals.iter().find(|p| p.id == proposal).cloned().unwrap();
    assert_eq!(
        (done.state, done.approvals),
        (ProposalState::Executed, vec!["ada".to_owned(), "bob".to_owned()])
    );
}

#[test]
fn a_freeze_window_asks_and_when_it_is_over_the_brain_acts() {
    let mut world = sick(14, Mode::Autonomous, 0.3, 1e9);
    // The mesh begins on a Tuesday at 22:13:20 UTC.
    let window = serde_json::json!({ "name": "late", "days": ["tue"], "from": "22:00", "to": "22:15" });
    world.brain.policies.guard.freeze_windows = vec![serde_json::from_value(window).unwrap()];
    world.run(90);
    assert_eq!(world.count(is_intent), 0, "{:?}", world.story());
    assert!(world.story().contains(&"verdict ask".to_owned()));
    world.run(30);
    assert!(world.count(is_intent) >= 1, "{:?}", world.story());
}
