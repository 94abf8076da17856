//! Quiet traffic: nothing is said and nothing done, whatever its noise.

use super::*;

const HOURS: usize = 6;

fn quiet(rps: f64, base_error: f64, wild: f64, seed: u64) {
    let mut specs = shop(rps);
    specs.remove(0);
    for spec in &mut specs {
        spec.base_error = base_error;
        spec.wild = wild;
    }
    let mut world = World::new(specs, seed, Mode::Autonomous);
    // At high rates a fraction of the time holds as many requests.
    let seconds = HOURS * 3_600 / (rps as usize / 70).clamp(1, 8);
    for _ in 0..seconds {
        world.second();
        let acted = world.said.iter().any(|(_, e)| is_intent(e));
        assert!(!acted, "{rps} rps, {base_error}, {wild}: {:#?}", world.opened());
        world.said.retain(|(_, e)| is_opened(e));
    }
    // A share that really wanders may be told; it may never be acted on.
    let told = world.opened();
    let endpoints = told.iter().filter(|i| i.cause.endpoint.is_some()).count();
    assert!(endpoints == 0 && (wild > 0.0 || told.is_empty()), "{rps} rps, {base_error}, {wild}: {told:#?}");
}

#[test]
fn no_errors_at_all() {
    quiet(20.0, 0.0, 0.0, 1);
}

#[test]
fn few_errors_at_little_traffic() {
    quiet(2.0, 0.01, 0.0, 2);
    quiet(2.0, 0.02, 0.8, 3);
}

#[test]
fn usual_errors_at_usual_traffic() {
    quiet(20.0, 0.02, 0.0, 4);
    quiet(200.0, 0.001, 0.0, 5);
}

#[test]
fn errors_that_drift_by_themselves_at_each_endpoint() {
    quiet(200.0, 0.01, 0.4, 6);
}

#[test]
fn heavy_traffic() {
    quiet(1_000.0, 0.02, 0.2, 7);
}
