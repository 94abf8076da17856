//! One fault makes one incident and two make two; what lies outside the mesh; retry storms.

use super::*;
use crate::domain::Signal;

/// Two services that do not call each other, behind one that calls both.
fn fork() -> Vec<Spec> {
    vec![
        Spec::new("web", "internet", 2, 200.0),
        Spec::new("cart", "web", 3, 200.0),
        Spec::new("search", "web", 3, 200.0),
    ]
}

fn causes(world: &World) -> Vec<(CauseKind, String)> {
    let incidents = world.brain.view().incidents;
    let mut causes: Vec<_> = incidents.into_iter().map(|i| (i.cause.kind, i.cause.service)).collect();
    causes.sort();
    causes
}

#[test]
fn services_that_fall_sick_together_share_something_outside_the_mesh() {
    let mut world = World::new(fork(), 3, Mode::Autonomous);
    world.run(600);
    world.mesh.faults.push(fault("search", None, 600.0, 0.3));
    world.mesh.faults.push(fault("cart", None, 601.0, 0.3));
    world.run(60);
    assert_eq!(world.count(is_opened), 1, "{:#?}", world.opened());
    let incidents = world.brain.view().incidents;
    assert_eq!(incidents[0].cause.kind, CauseKind::Dependency, "{:#?}", incidents[0]);
    assert!(incidents[0].summary.starts_with("something beyond cart and search"), "{}", incidents[0].summary);
    assert_eq!(world.count(is_intent), 0);
}

#[test]
fn services_that_fall_sick_one_after_the_other_have_two_faults() {
    let mut world = World::new(fork(), 3, Mode::Advisory);
    world.run(600);
    world.mesh.faults.push(fault("cart", None, 600.0, 0.3));
    world.run(25);
    world.mesh.faults.push(fault("search", None, 625.0, 0.3));
    world.run(40);
    let two = [(CauseKind::Service, "cart".to_owned()), (CauseKind::Service, "search".to_owned())];
    assert_eq!(causes(&world), two);
}

#[test]
fn a_caller_that_fails_by_itself_is_not_hidden_by_its_callee() {
    let mut world = World::new(shop(200.0), 3, Mode::Advisory);
    world.run(600);
    world.mesh.faults.push(fault("catalog", None, 600.0, 0.05));
    world.mesh.faults.push(fault("cart", None, 620.0, 0.6));
    world.run(60);
    let two = [(CauseKind::Service, "cart".to_owned()), (CauseKind::Service, "catalog".to_owned())];
    assert_eq!(causes(&world), two);
}

#[test]
fn a_callees_failures_are_not_its_callers_however_bad() {
    for (seed, share) in [(3, 0.1), (4, 0.3), (5, 0.9)] {
        let mut world = World::new(shop(200.0), seed, Mode::Advisory);
        world.run(600);
        world.mesh.faults.push(fault("catalog", None, 600.0, share));
        world.run(90);
        assert_eq!(causes(&world), [(CauseKind::Service, "catalog".to_owned())], "{share}");
    }
}

#[test]
fn attempts_over_requests_tell_a_retry_storm() {
    let mut world = World::new(shop(200.0), 3, Mode::Advisory);
    world.run(600);
    world.mesh.faults.push(fault("catalog", None, 600.0, 0.5));
    for _ in 0..40 {
        world.second_with(|windows| {
            for cell in windows.iter_mut().flat_map(|w| &mut w.cells).filter(|c| c.service == "catalog") {
                cell.retries = cell.failures();
            }
        });
    }
    let incidents = world.brain.view().incidents;
    assert_eq!(causes(&world), [(CauseKind::Service, "catalog".to_owned())]);
    let storm = incidents[0].evidence.iter().find(|e| e.signal == Signal::Retries).unwrap();
    assert!((1.4..1.6).contains(&storm.observed) && storm.baseline < 1.01, "{storm:?}");
    assert!(incidents[0].summary.ends_with("attempts a request"), "{}", incidents[0].summary);
}
