//! One proxy first, then a tenth, then all; never half.

use super::*;
use crate::domain::{EffectKind, Refusal};

/// Twenty proxies use cart, whose third endpoint fails from second 30 on.
fn fleet(seed: u64, to_s: f64) -> World {
    let mut specs = shop(200.0);
    specs[1].proxies = 20;
    specs[1].rps = 2_000.0;
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.mesh.faults.push(Fault { to_s, ..fault("cart", Some(2), 30.0, 0.3) });
    world
}

/// The most proxies that held something at once, second by second, without repeats.
fn growth(world: &mut World, seconds: usize) -> Vec<usize> {
    let mut sizes = vec![0];
    for _ in 0..seconds {
        world.second();
        let held = world.mesh.holders().len();
        if *sizes.last().unwrap() != held {
            sizes.push(held);
        }
    }
    sizes
}

fn widened(world: &World) -> Vec<usize> {
    let told = world.said.iter().filter_map(|(_, e)| match e {
        Event::Widened { proxies, .. } => Some(proxies.len()),
        _ => None,
    });
    told.collect()
}

fn effects(world: &World) -> Vec<EffectKind> {
    let told = world.said.iter().filter_map(|(_, e)| match e {
        Event::Effect { effect, .. } => Some(effect.kind),
        _ => None,
    });
    told.collect()
}

#[test]
fn an_action_goes_to_one_proxy_then_to_a_tenth_then_to_all() {
    let mut world = fleet(31, 1e9);
    assert_eq!(growth(&mut world, 60)[..4], [0, 1, 2, 20], "{:?}", world.story());
    assert_eq!(widened(&world), [1, 18]);
    assert_eq!(effects(&world), [EffectKind::Helped]);
}

#[test]
fn what_does_harm_at_the_first_proxy_goes_nowhere_else() {
    let mut world = fleet(32, 1e9);
    world.mesh.harm = 0.5;
    let growth = growth(&mut world, 60);
    assert_eq!(growth[..3], [0, 1, 0], "{:?}", world.story());
    assert!(growth.iter().all(|n| *n <= 1), "{growth:?}");
    assert_eq!(effects(&world)[0], EffectKind::Harmed);
}

#[test]
fn what_gets_well_everywhere_at_once_is_not_our_doing() {
    // It ends just when the first proxy has been treated.
    let mut world = fleet(33, 34.0);
    world.run(34);
    assert!(world.count(is_intent) > 0 || world.run(2).count(is_intent) > 0, "{:?}", world.story());
    world.run(60);
    assert_eq!(widened(&world), Vec::<usize>::new(), "{:?}", world.story());
    assert_eq!(world.mesh.live_leases(), 0);
}

#[test]
fn where_one_proxy_refuses_none_keeps_it() {
    let mut world = fleet(34, 1e9);
    world.mesh.refuses = Some(Refusal { status: 422, detail: "below the floor".into() });
    world.mesh.refuses_at = Some("web-proxy-7");
    world.run(50);
    assert!(widened(&world).contains(&18), "{:?}", world.story());
    assert_eq!(world.mesh.holders().len(), 0, "{:?}", world.story());
}

#[test]
fn where_one_that_serves_cannot_be_reached_none_keeps_it() {
    let mut world = fleet(37, 1e9);
    world.mesh.refuses = Some(Refusal { status: 0, detail: "no answer".into() });
    world.mesh.refuses_at = Some("web-proxy-13");
    world.run(55);
    assert!(widened(&world).contains(&18), "{:?}", world.story());
    assert_eq!(world.mesh.holders().len(), 0, "{:?}", world.story());
}

#[test]
fn a_freeze_halfway_takes_back_what_has_not_reached_all() {
    let mut world = fleet(31, 1e9);
    while world.mesh.holders().is_empty() {
        world.second();
    }
    world.requests.push(PersonRequest::Freeze { revert_all: false });
    world.run(30);
    assert_eq!(world.mesh.holders().len(), 0, "{:?}", world.story());
    assert_eq!(widened(&world), Vec::<usize>::new());
}

#[test]
fn a_proxy_that_joins_later_gets_what_the_others_have() {
    let mut world = fleet(36, 1e9);
    world.run(46);
    assert_eq!(world.mesh.holders().len(), 20, "{:?}", world.story());
    world.mesh.specs[1].proxies = 21;
    world.run(4);
    assert_eq!(world.mesh.holders().len(), 21, "{:?}", world.story());
}
