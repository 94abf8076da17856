//! Faults are found, at the right place, in time.

use super::*;
use crate::domain::Signal;

/// Delays from the fault to the allowed action over several seeds, sorted; a miss is infinite.
fn delays(rps: f64, share: f64, slow_factor: f64, seeds: u64) -> Vec<f64> {
    let mut delays: Vec<f64> = (1..=seeds)
        .map(|seed| {
            let mut world = World::new(shop(rps), seed, Mode::Autonomous);
            let from_s = 30.0 + (seed as f64 * 0.37) % 1.0;
            world.mesh.faults.push(Fault { slow_factor, ..fault("cart", Some(2), from_s, share) });
            world.run(30);
            assert_eq!(world.opened(), [], "before the fault, seed {seed}");
            world.run(120);
            for incident in world.opened() {
                assert_eq!(
                    incident.cause.endpoint.as_deref(),
                    Some("10.0.1.3:8080"),
                    "seed {seed}: {incident:#?}"
                );
            }
            world.first(is_allow).map_or(f64::INFINITY, |at| at - from_s)
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

fn told(name: &str, delays: &[f64]) -> (f64, f64) {
    let (median, most) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("{name}: median {median:.1} s, worst of {} {most:.1} s", delays.len());
    (median, most)
}

#[test]
fn a_gray_endpoint_is_named_and_ejected_within_seconds() {
    let (median, most) = told("200 rps, +30 pp on 1 of 5", &delays(200.0, 0.3, 1.0, 12));
    assert!(median <= 3.0 && most <= 5.0);
    let (median, most) = told("200 rps, +10 pp on 1 of 5", &delays(200.0, 0.1, 1.0, 12));
    assert!(median <= 8.0 && most <= 15.0);
    let (median, most) = told("200 rps, +5 pp on 1 of 5", &delays(200.0, 0.05, 1.0, 12));
    assert!(median <= 14.0 && most <= 25.0);
    let (median, _) = told("20 rps, +30 pp on 1 of 5", &delays(20.0, 0.3, 1.0, 12));
    assert!(median <= 20.0);
}

#[test]
fn a_dead_endpoint_is_ejected_at_once() {
    let (median, most) = told("200 rps, hard down", &delays(200.0, 1.0, 1.0, 12));
    assert!(median <= 2.5 && most <= 3.0);
}

#[test]
fn a_slow_endpoint_is_ejected() {
    let (median, most) = told("200 rps, x5 slower", &delays(200.0, 0.0, 5.0, 12));
    assert!(median <= 4.5 && most <= 6.0);
    told("200 rps, x2 slower", &delays(200.0, 0.0, 2.0, 6));
}

#[test]
fn a_service_that_fails_as_a_whole_is_named_and_nobody_ejected() {
    let mut world = World::new(shop(200.0), 5, Mode::Autonomous);
    world.mesh.faults.push(fault("cart", None, 30.0, 0.9));
    world.run(120);
    let causes: Vec<_> =
        world.opened().into_iter().map(|i| (i.cause.kind, i.cause.service, i.service)).collect();
    assert_eq!(causes, [(CauseKind::Service, "cart".to_owned(), "web".to_owned())]);
    assert_eq!(world.count(is_intent), 0);
    let delay = world.first(is_opened).unwrap() - 30.0;
    println!("200 rps, whole service down: {delay:.1} s");
    assert!(delay <= 4.0);
}

#[test]
fn three_of_five_sick_endpoints_are_the_service() {
    let mut world = World::new(shop(200.0), 9, Mode::Autonomous);
    for endpoint in 0..3 {
        world.mesh.faults.push(fault("cart", Some(endpoint), 30.0, 0.6));
    }
    world.run(120);
    assert_eq!(world.count(is_intent), 0, "{:#?}", world.opened());
    assert!(world.opened().iter().all(|i| i.cause.kind == CauseKind::Service));
}

#[test]
fn callers_symptoms_belong_to_the_culprits_incident() {
    let mut world = World::new(shop(200.0), 3, Mode::Advisory);
    world.run(400);
    world.mesh.faults.push(fault("cart", Some(1), 400.0, 0.6));
    world.run(60);
    let opened = world.opened();
    assert_eq!(opened.len(), 1, "{opened:#?}");
    assert_eq!(opened[0].cause.kind, CauseKind::BadEndpoint);
    assert_eq!(opened[0].cause.service, "cart");
}

#[test]
fn a_service_is_held_against_its_own_past() {
    let mut world = World::new(shop(200.0), 3, Mode::Autonomous);
    world.run(600);
    world.mesh.faults.push(fault("catalog", None, 600.0, 0.08));
    world.run(40);
    let opened = world.opened();
    assert_eq!(opened.len(), 1, "{opened:#?}");
    assert_eq!((opened[0].cause.kind, opened[0].cause.service.as_str()), (CauseKind::Service, "catalog"));
    assert_eq!(opened[0].evidence[0].signal, Signal::Errors);
    let delay = world.first(is_opened).unwrap() - 600.0;
    println!("200 rps, +8 pp on a service against its past: {delay:.1} s");
    assert_eq!(world.count(is_intent), 0);
}

#[test]
fn a_few_responses_that_hang_are_found_though_the_rest_is_as_fast_as_ever() {
    let mut world = World::new(shop(200.0), 3, Mode::Autonomous);
    world.run(600);
    let hang = |windows: &mut Vec<Window>| {
        for cell in windows.iter_mut().flat_map(|w| &mut w.cells).filter(|c| c.service == "catalog") {
            // Four in a hundred, of the fastest, so that nothing else changes.
            let hang = cell.requests / 25;
            let mut left = hang;
            for (_, n) in &mut cell.latency.buckets {
                let taken = left.min(*n);
                (*n, left) = (*n - taken, left - taken);
            }
            cell.latency.buckets.push((protocol::latency::index_of(5_000_000), hang - left));
            cell.latency.buckets.retain(|(_, n)| *n > 0);
        }
    };
    (0..30).for_each(|_| drop(world.second_with(hang)));
    let opened = world.opened();
    assert_eq!(opened.len(), 1, "{opened:#?}");
    assert_eq!((opened[0].cause.kind, opened[0].cause.service.as_str()), (CauseKind::Service, "catalog"));
    assert_eq!(opened[0].evidence[0].signal, Signal::Latency);
}

#[test]
fn one_second_of_slowness_is_not_acted_on() {
    for (seed, from_s) in (1..=10u32).map(|s| (s, 40.0 + f64::from(s) * 0.1)) {
        let mut world = World::new(shop(200.0), u64::from(seed), Mode::Autonomous);
        let blip = Fault { to_s: from_s + 1.0, slow_factor: 20.0, ..fault("cart", Some(2), from_s, 0.0) };
        world.mesh.faults.push(blip);
        world.run(100);
        assert_eq!(world.opened(), [], "seed {seed}");
    }
}

/// One tick with the windows given, and nothing sent.
fn look(world: &mut World, windows: Vec<protocol::telemetry::Window>) -> Vec<Event> {
    let (now_ms, fleet) = (world.mesh.now_ms(), world.mesh.fleet());
    let input = TickInput { now_ms, windows, fleet, audit_ok: true, ..TickInput::default() };
    let events: Vec<Event> = world.brain.tick(input).events.into_iter().map(|(_, e)| e).collect();
    world.said.extend(events.iter().cloned().map(|e| (now_ms, e)));
    events
}

#[test]
fn witnesses_that_disagree_make_it_unknown_and_nothing_is_done() {
    let mut world = World::new(shop(200.0), 4, Mode::Autonomous);
    // A second proxy uses cart as much, and sees nothing wrong with the endpoint.
    let other = vec![Spec::new("other", "x", 1, 1.0), Spec::new("cart", "admin", 5, 600.0)];
    let mut other = Mesh::new(other, 8);
    world.mesh.faults.push(fault("cart", Some(2), 30.0, 1.0));
    for _ in 0..60 {
        let mut windows = world.mesh.second();
        windows.extend(other.second());
        look(&mut world, windows);
    }
    assert_eq!(world.count(is_intent), 0);
    assert!(world.opened().iter().all(|i| i.cause.kind == CauseKind::Unknown), "{:#?}", world.opened());
    assert!(!world.opened().is_empty());
}

#[test]
fn windows_that_contradict_themselves_are_quarantined() {
    let mut world = World::new(shop(200.0), 4, Mode::Autonomous);
    world.run(20);
    for _ in 0..60 {
        let mut windows = world.mesh.second();
        for cell in windows.iter_mut().flat_map(|w| &mut w.cells) {
            cell.timeouts += 50;
        }
        assert!(look(&mut world, windows).is_empty());
    }
    assert_eq!(world.brain.refused().0, 180);
}

#[test]
fn the_same_input_gives_the_same_output() {
    let run = || {
        let mut world = World::new(shop(200.0), 11, Mode::Autonomous);
        world.mesh.faults.push(fault("cart", Some(2), 20.0, 0.3));
        world.run(80);
        serde_json::to_string(&world.said).unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn where_traffic_is_thin_the_whole_alarms_and_the_one_endpoint_is_named_once() {
    let mut named = 0;
    for seed in 1..=4 {
        let mut world = World::new(shop(20.0), seed, Mode::Autonomous);
        world.run(400);
        assert_eq!(world.opened(), [], "seed {seed}");
        world.mesh.faults.push(fault("cart", Some(2), 400.0, 0.15));
        world.run(45);
        let opened = world.opened();
        assert!(opened.len() <= 1, "seed {seed}: {opened:#?}");
        for incident in &opened {
            assert_eq!(incident.cause.endpoint.as_deref(), Some("10.0.1.3:8080"), "seed {seed}");
        }
        named += opened.len();
    }
    assert!(named >= 2, "{named} of 4 within 45 s");
}
