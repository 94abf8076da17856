//! A yes is worth what was read, in the state in which it was read.

use super::*;
use crate::domain::{Proposal, ProposalState};
use protocol::snapshot::Health;

/// An endpoint of five is sick, and a person is asked.
fn asked() -> (World, Proposal) {
    let mut world = World::new(shop(200.0), 2, Mode::Advisory);
    world.mesh.faults.push(fault("cart", Some(2), 20.0, 0.3));
    world.run(60);
    let waiting = pending(&world);
    assert_eq!(waiting.len(), 1);
    (world, waiting[0].clone())
}

fn pending(world: &World) -> Vec<Proposal> {
    let all = world.brain.view().proposals;
    all.into_iter().filter(|p| p.state == ProposalState::Pending).collect()
}

fn approve(proposal: &Proposal) -> PersonRequest {
    let (proposal, digest) = (proposal.id.clone(), proposal.digest.clone());
    PersonRequest::Approve { proposal, digest, reason: "looks right".into() }
}

/// Asks in the next second; the answer.
fn told(world: &mut World, request: PersonRequest) -> PersonAnswer {
    world.requests = vec![request];
    world.second();
    world.answers.pop().unwrap()
}

#[test]
fn a_yes_to_a_state_that_is_no_more_is_not_carried_out_and_a_fresh_proposal_stands_in_its_place() {
    let (mut world, stale) = asked();
    world.mesh.specs[1].endpoints = 6;
    world.run(2);
    let answer = told(&mut world, approve(&stale));
    let PersonAnswer::Changed { why, fresh } = answer else { panic!("{answer:?}") };
    assert!(why.contains(&stale.id) && why.contains(&fresh.id), "{why}");
    assert_eq!(world.count(is_intent), 0);
    assert_eq!(pending(&world), [*fresh.clone()]);
    assert_eq!((&fresh.action, fresh.state), (&stale.action, ProposalState::Pending));
    assert!(fresh.radius.capacity < stale.radius.capacity, "one of six, not of five");
    assert!(fresh.digest != stale.digest);
    assert!(matches!(told(&mut world, approve(&stale)), PersonAnswer::Conflict(_)), "it waits no more");
    assert!(matches!(told(&mut world, approve(&fresh)), PersonAnswer::Done(_)));
    world.run(5);
    assert_eq!(world.count(is_intent), 1);
}

#[test]
fn what_comes_and_goes_with_the_trouble_is_no_other_state() {
    let (mut world, waiting) = asked();
    world.mesh.health.insert(("cart".into(), 2), Health::Unhealthy);
    world.run(2);
    let answer = told(&mut world, approve(&waiting));
    assert!(matches!(answer, PersonAnswer::Done(_)), "{answer:?}");
}

#[test]
fn who_agreed_to_the_old_state_has_not_agreed_to_the_new_one() {
    // One of three: 33 % of the service, for which two people must agree.
    let mut world = World::new(vec![Spec::new("web", "internet", 3, 200.0)], 13, Mode::Advisory);
    world.mesh.faults.push(fault("web", Some(0), 20.0, 0.5));
    world.run(40);
    let waiting = pending(&world)[0].clone();
    assert!(matches!(told(&mut world, approve(&waiting)), PersonAnswer::Done(_)));
    world.mesh.specs[0].new = 1;
    world.run(2);
    world.person = "bob";
    let answer = told(&mut world, approve(&waiting));
    let PersonAnswer::Changed { fresh, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((fresh.approvals.len(), fresh.approvals_needed), (0, 2));
    assert!(matches!(told(&mut world, approve(&fresh)), PersonAnswer::Done(_)));
    assert_eq!(world.count(is_intent), 0, "bob alone is not enough");
}

#[test]
fn of_two_proposals_for_one_service_the_second_waits_for_another_look_once_the_first_is_done() {
    let (mut world, first) = asked();
    let action = crate::domain::ProposedAction {
        service: "cart".into(),
        kind: serde_json::from_value(serde_json::json!({ "type": "set_timeout", "request_timeout_ms": 900 }))
            .unwrap(),
        lease_ms: 15_000,
    };
    told(&mut world, PersonRequest::Propose { action, reason: "slow".into() });
    let second = pending(&world).into_iter().find(|p| p.id != first.id).unwrap();
    assert!(matches!(told(&mut world, approve(&first)), PersonAnswer::Done(_)));
    let answer = told(&mut world, approve(&second));
    assert!(matches!(answer, PersonAnswer::Changed { .. }), "{answer:?}");
}
