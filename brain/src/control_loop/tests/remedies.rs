//! What is done about versions, clients and loads, and that it is given back.

use super::*;
use crate::domain::{Effect, EffectKind};
use protocol::action::ActionKind;

fn effects(world: &World) -> Vec<Effect> {
    let told = world.said.iter().filter_map(|(_, e)| match e {
        Event::Effect { effect, .. } => Some(effect.clone()),
        _ => None,
    });
    told.collect()
}

fn intents(world: &World) -> Vec<ActionKind> {
    let told = world.said.iter().filter_map(|(_, e)| match e {
        Event::Intent { action, .. } => Some(action.action.kind.clone()),
        _ => None,
    });
    told.collect()
}

/// What is thought by now, oldest first.
fn causes(world: &World) -> Vec<CauseKind> {
    world.brain.view().incidents.iter().rev().map(|i| i.cause.kind).collect()
}

/// Of `of` endpoints of cart the last `new` run v2, which fails from second 30 on.
fn bad_version(of: usize, new: usize, to_s: f64) -> World {
    let mut specs = shop(200.0);
    specs[1].endpoints = of;
    specs[1].new = new;
    let mut world = World::new(specs, 21, Mode::Autonomous);
    for endpoint in of - new..of {
        world.mesh.faults.push(Fault { to_s, ..fault("cart", Some(endpoint), 30.0, 0.3) });
    }
    world
}

#[test]
fn a_bad_version_is_left_probed_and_given_back_when_it_is_well() {
    let mut world = bad_version(5, 2, 70.0);
    world.run(60);
    assert_eq!(causes(&world), [CauseKind::BadVersion], "{:#?}", world.opened());
    assert!(
        matches!(&intents(&world)[0], ActionKind::SetWeights { weights } if weights["version:v2"] == 0),
        "{:?}",
        world.story()
    );
    assert_eq!(effects(&world)[0].kind, EffectKind::Helped, "{:?}", effects(&world));
    assert_eq!(world.mesh.live_leases(), 1);
    world.run(200);
    assert_eq!(world.mesh.live_leases(), 0, "{:?}", world.story());
    assert_eq!(world.story().last().unwrap(), "incident_closed", "{:?}", world.story());
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn a_version_without_others_to_carry_its_load_is_only_told() {
    let mut world = bad_version(5, 3, 1e9);
    world.run(90);
    assert_eq!(world.count(is_intent), 0, "{:?}", world.story());
    assert!(!world.opened().is_empty());
}

/// 200 requests a second are usual, each of these services bears 320, and 300 more come from these clients.
fn crowd(weak: &[usize], clients: Vec<&'static str>, to_s: f64) -> World {
    let mut specs = shop(200.0);
    weak.iter().for_each(|index| specs[*index].bears_rps = 320.0);
    let mut world = World::new(specs, 22, Mode::Autonomous);
    world.brain.policies.guard.learning_s = 300;
    world.run(400);
    assert_eq!(world.opened(), [], "a quiet mesh");
    world.mesh.surges.push(Surge { from_s: 400.0, to_s, rps: 300.0, clients });
    world
}

#[test]
fn abusive_clients_are_blocked_and_let_in_again_when_they_are_calm() {
    let clients = vec!["203.0.113.4", "203.0.113.5", "192.0.2.77"];
    let mut world = crowd(&[0], clients, 500.0);
    world.run(60);
    assert_eq!(causes(&world).last(), Some(&CauseKind::AbusiveClients), "{:#?}", world.opened());
    let blocked = intents(&world).into_iter().find_map(|kind| match kind {
        ActionKind::BlockIps { cidrs } => Some(cidrs.iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(blocked.unwrap(), ["192.0.2.77/32", "203.0.113.4/31"], "{:?}", world.story());
    assert_eq!(effects(&world).last().unwrap().kind, EffectKind::Helped, "{:?}", effects(&world));
    assert_eq!(world.mesh.live_leases(), 1, "held while they still ask: {:?}", world.story());
    world.run(40);
    assert_eq!(world.mesh.live_leases(), 1, "held while they still ask: {:?}", world.story());
    world.run(120);
    assert_eq!(world.mesh.live_leases(), 0, "{:?}", world.story());
    assert_eq!(intents(&world).len(), 1, "blocked once, let in once: {:?}", world.story());
}

#[test]
fn a_crowd_is_no_attack_and_what_is_too_much_is_shed() {
    let mut world = crowd(&[0], Vec::new(), 520.0);
    world.run(60);
    assert_eq!(causes(&world).last(), Some(&CauseKind::Overload), "{:#?}", world.opened());
    let first = intents(&world).into_iter().next();
    let Some(ActionKind::ShedLoad { fraction: Some(fraction), .. }) = first else { panic!("{first:?}") };
    // 500 are asked, 200 are usual, 320 are borne: anything from 36 % to 60 % is right.
    assert!((0.36..=0.61).contains(&fraction), "{fraction}");
    assert_eq!(effects(&world)[0].kind, EffectKind::Helped, "{:?}", effects(&world));
    world.run(200);
    assert_eq!(world.mesh.live_leases(), 0, "{:?}", world.story());
    let blocks = intents(&world).iter().filter(|k| matches!(k, ActionKind::BlockIps { .. })).count();
    assert_eq!(blocks, 0);
    assert!(world.count(is_allow) <= 1, "no flapping: {:?}", world.story());
}

#[test]
fn a_remedy_in_vain_is_undone_and_not_tried_again() {
    let mut world = World::new(shop(200.0), 23, Mode::Autonomous);
    world.brain.policies.guard.learning_s = 300;
    // Its own sickness grows with the load but does not go with it.
    world.run(400);
    world.mesh.surges.push(Surge { from_s: 400.0, to_s: 1e9, rps: 300.0, clients: Vec::new() });
    world.mesh.faults.push(fault("web", None, 402.0, 0.4));
    world.run(200);
    let told = effects(&world);
    assert!(told.iter().all(|e| e.kind == EffectKind::Unchanged), "{told:?}");
    assert!(!told.is_empty(), "{:?} {:#?}", world.story(), world.opened());
    assert_eq!(intents(&world).len(), 1, "{:?}", world.story());
    assert_eq!(world.mesh.live_leases(), 0);
}

#[test]
fn where_a_few_clients_are_to_blame_nobody_else_is_shed() {
    let clients = vec!["203.0.113.4", "203.0.113.5", "192.0.2.77"];
    let mut world = crowd(&[0, 1, 2], clients, 480.0);
    world.run(200);
    let kinds: Vec<&str> = intents(&world).iter().map(ActionKind::name).collect();
    assert_eq!(kinds, ["block_ips"], "{:?} {:#?}", world.story(), world.opened());
    assert_eq!(effects(&world)[0].kind, EffectKind::Helped, "{:?}", effects(&world));
}
