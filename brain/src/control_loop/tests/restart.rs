//! A brain that was killed, and the one that goes on with what it knew.

use super::*;
use crate::state::Memory;

/// Through the store's own form.
fn kept(memory: &Memory) -> Memory {
    serde_json::from_slice(&serde_json::to_vec(memory).unwrap()).unwrap()
}

/// What is said of a fault that begins 5 s after second 600, by the same brain or by another one.
fn told(restart: impl FnOnce(&mut World)) -> Vec<(String, CauseKind, Option<f64>)> {
    let mut world = World::new(shop(200.0), 3, Mode::Autonomous);
    world.run(600);
    restart(&mut world);
    world.mesh.faults.push(fault("catalog", None, 605.0, 0.08));
    world.run(60);
    let at =
        |id: &str| world.first(|e| matches!(e, Event::IncidentOpened { incident, .. } if incident.id == id));
    let told = world.opened().into_iter().map(|i| (i.cause.service.clone(), i.cause.kind, at(&i.id)));
    told.collect()
}

fn fresh() -> ControlLoop {
    ControlLoop::new(Policies::shipped().unwrap(), Mode::Autonomous, LoopOptions::default())
}

#[test]
fn a_restarted_brain_judges_as_the_one_that_went_on() {
    let went_on = told(|_| {});
    let restarted = told(|world| {
        let memory = kept(&world.brain.memory());
        world.brain = fresh();
        world.brain.recall(memory, world.mesh.now_ms());
    });
    assert_eq!(went_on.len(), 1, "{went_on:?}");
    assert_eq!(restarted, went_on);
}

#[test]
fn a_brain_without_memory_is_blind_for_a_while() {
    assert_eq!(told(|world| world.brain = fresh()), [], "else the test above proves nothing");
}

#[test]
fn what_is_too_old_or_from_the_future_is_not_believed() {
    let forgotten = |later_ms: i64| {
        told(|world| {
            let memory = kept(&world.brain.memory());
            world.brain = fresh();
            world.brain.recall(memory, world.mesh.now_ms() + later_ms);
        })
    };
    assert_eq!(forgotten(90_000_000), []);
    assert_eq!(forgotten(-60_000), []);
}

#[test]
fn what_is_kept_of_a_service_is_a_few_kilobytes() {
    let mut world = World::new(shop(200.0), 3, Mode::Autonomous);
    world.run(400);
    let bytes = serde_json::to_vec(&world.brain.memory()).unwrap().len();
    assert!(bytes < 3 * 16_384, "{bytes} bytes for three services");
}
