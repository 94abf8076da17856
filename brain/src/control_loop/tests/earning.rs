//! Autonomy is earned by a record, confidence follows what comes true, and both survive a restart.

use super::*;
use crate::domain::EffectKind;
use crate::policies::KindMode;

/// A world whose third endpoint of cart falls ill `times` times, and is well between.
fn often_ill(seed: u64, times: u32, mode: KindMode) -> World {
    let mut world = World::new(shop(200.0), seed, Mode::Autonomous);
    world.brain.policies.guard.reversals_per_hour = 1_000;
    world.brain.policies.guard.actions_per_hour = 1_000;
    world.brain.policies.guard.kinds.get_mut("eject_endpoint").unwrap().mode = mode;
    for n in 0..times {
        let from_s = 20.0 + f64::from(n) * 160.0;
        world.mesh.faults.push(Fault { to_s: from_s + 25.0, ..fault("cart", Some(2), from_s, 0.5) });
    }
    world
}

fn row(world: &World) -> crate::domain::AutonomyRow {
    world.brain.view().autonomy.into_iter().find(|row| row.kind == "eject_endpoint").unwrap()
}

fn is_autonomy(event: &Event) -> bool {
    matches!(event, Event::Autonomy { .. })
}

#[test]
fn a_kind_that_must_earn_it_asks_until_its_record_is_good_enough() {
    let mut world = often_ill(41, 14, KindMode::Earn);
    world.brain.policies.guard.autonomy.min_trials = 8;
    for _ in 0..14 * 160 {
        world.second();
        world.agree();
    }
    let row = row(&world);
    assert_eq!((row.mode, row.harmed), (Mode::Autonomous, 0), "{row:?}");
    assert!(row.helped >= 8 && row.lower_bound >= 0.85 && row.why.starts_with("earned"), "{row:?}");
    let promoted = world.first(is_autonomy).unwrap();
    let allowed = world.first(is_allow).unwrap();
    assert!(allowed > promoted, "it acted alone at {allowed} s, and had earned it at {promoted} s");
}

#[test]
fn harm_costs_a_kind_what_it_has_earned_also_after_a_restart() {
    let mut world = often_ill(42, 3, KindMode::Auto);
    world.run(170);
    assert!(row(&world).helped >= 1, "{:?}", row(&world));
    world.mesh.harm = 0.5;
    world.run(100);
    assert!(world.story().contains(&"effect harmed".to_owned()), "{:?}", world.story());
    assert_eq!(row(&world).mode, Mode::Advisory, "{:?}", row(&world));
    let memory = serde_json::to_vec(&world.brain.memory()).unwrap();
    let mut again = ControlLoop::new(Policies::shipped().unwrap(), Mode::Autonomous, LoopOptions::default());
    let now_ms = world.mesh.now_ms();
    again.recall(serde_json::from_slice(&memory).unwrap(), now_ms);
    again.tick(TickInput { now_ms, audit_ok: true, ..TickInput::default() });
    let recalled = again.view().autonomy.into_iter().find(|row| row.kind == "eject_endpoint").unwrap();
    assert_eq!((recalled.mode, recalled.harmed), (Mode::Advisory, 1), "{recalled:?}");
    assert!(recalled.why.contains("did harm"), "{recalled:?}");
}

#[test]
fn what_never_helps_is_not_done_alone_for_long() {
    let mut world = World::new(shop(200.0), 43, Mode::Autonomous);
    let guard = &mut world.brain.policies.guard;
    (guard.learning_s, guard.reversals_per_hour, guard.actions_per_hour) = (300, 1_000, 1_000);
    guard.cooldown_s = 0;
    world.run(400);
    // The service is ill whenever much is asked of it, and shedding does not cure it.
    for n in 0..16 {
        let from_s = 400.0 + f64::from(n) * 150.0;
        world.mesh.surges.push(Surge { from_s, to_s: from_s + 50.0, rps: 300.0, clients: Vec::new() });
        world.mesh.faults.push(Fault { to_s: from_s + 50.0, ..fault("web", None, from_s + 1.0, 0.4) });
    }
    world.run(16 * 150);
    let learned = world.brain.view().autonomy.into_iter().find(|row| row.kind == "shed_load").unwrap();
    assert!(learned.unchanged >= 2 && learned.helped == 0, "{learned:?}");
    let asked = world.said.iter().rev().find_map(|(_, e)| match e {
        Event::Verdict { proposal, judgement } => Some((proposal.confidence, judgement.verdict)),
        _ => None,
    });
    let (confidence, verdict) = asked.unwrap();
    assert!(confidence < 0.70 && verdict != Verdict::Allow, "{confidence} {verdict:?} {learned:?}");
}

/// What was said of each action and what came of it, over seeds and faults of all sizes.
fn said_and_came_true(seeds: std::ops::Range<u64>) -> Vec<(f64, bool)> {
    let mut all = Vec::new();
    for seed in seeds {
        let rps = [200.0, 60.0][seed as usize / 5 % 2];
        let mut world = World::new(shop(rps), seed, Mode::Autonomous);
        let share = [0.05, 0.1, 0.2, 0.5, 1.0][seed as usize % 5];
        world.mesh.faults.push(fault("cart", Some(seed as usize % 3), 20.0, share));
        world.run(90);
        let said = |e: &Event| match e {
            Event::Effect { action, effect } if effect.kind != EffectKind::Unknown => {
                Some((action.confidence, effect.kind == EffectKind::Helped))
            }
            _ => None,
        };
        all.extend(world.said.iter().find_map(|(_, e)| said(e)));
    }
    all
}

/// On seeds that taught nothing: what is said of the probability that it helps is what comes true.
#[test]
fn confidence_is_a_probability() {
    let all = said_and_came_true(100..200);
    let mut curve = crate::learning::Curve::default();
    all.iter().for_each(|(said, came_true)| curve.learn(*said, *came_true));
    println!("{} actions, expected calibration error {:.3}", all.len(), curve.error());
    assert!(all.len() >= 90 && curve.error() <= 0.05, "{} of {}", curve.error(), all.len());
}
