//! A model that learns from outcomes: it speaks when it knows, is right as often as it says, and is written down.

use super::*;
use crate::domain::{EffectKind, Proposal};
use crate::learning::{Curve, Learned, Opinion};

/// What was proposed and what came of it, over seeds: endpoints that fail a little or much. Where they fail only a
/// little, taking them out does harm in three of four meshes.
fn outcomes(seeds: std::ops::Range<u64>) -> Vec<(Proposal, EffectKind)> {
    let one = |seed: u64| {
        let mut world = World::new(shop(60.0), seed, Mode::Autonomous);
        let share = [0.15, 0.3, 0.6, 1.0][seed as usize % 4];
        world.mesh.harm = if share < 0.2 && !seed.is_multiple_of(16) { 0.5 } else { 0.0 };
        world.mesh.faults.push(fault("cart", Some(seed as usize % 3), 15.0, share));
        world.run(50);
        let effect = world.said.iter().find_map(|(_, e)| match e {
            Event::Effect { action, effect } if effect.kind != EffectKind::Unknown => {
                Some((action.clone(), effect.kind))
            }
            _ => None,
        });
        let (action, effect) = effect?;
        let proposed = world.brain.view().proposals.into_iter().find(|p| p.id == action.proposal);
        Some((proposed?, effect))
    };
    seeds.filter_map(one).collect()
}

fn taught(seeds: std::ops::Range<u64>) -> Learned {
    let mut learned = Learned::default();
    for (proposal, effect) in outcomes(seeds) {
        learned.outcome(&proposal, CauseKind::BadEndpoint, effect);
    }
    learned
}

#[test]
fn on_seeds_that_taught_nothing_the_model_is_right_as_often_as_it_says() {
    let learned = taught(5_000..5_300);
    let (mut curve, mut silent) = (Curve::default(), 0);
    let mut said_of = [(0.0, 0), (0.0, 0)];
    for (proposal, effect) in outcomes(6_000..6_480) {
        let helped = effect == EffectKind::Helped;
        match learned.opinion(&proposal, CauseKind::BadEndpoint) {
            Opinion::Helps { probability, .. } => {
                curve.learn(probability, helped);
                let (sum, n) = &mut said_of[usize::from(helped)];
                (*sum, *n) = (*sum + probability, *n + 1);
            }
            Opinion::Abstains(_) => silent += 1,
        }
    }
    let mean = |(sum, n): (f64, i32)| sum / f64::from(n.max(1));
    let (in_vain, helped) = (mean(said_of[0]), mean(said_of[1]));
    println!(
        "error {:.3}; said {in_vain:.2} where it did not help, {helped:.2} where it did; {said_of:?}, {silent} silent",
        curve.error()
    );
    assert!(said_of[0].1 >= 40 && said_of[1].1 >= 200, "{said_of:?}, {silent} silent");
    assert!(curve.error() <= 0.05, "expected calibration error {}", curve.error());
    assert!(helped > in_vain + 0.2, "it tells one from the other: {in_vain} {helped}");
}

/// A world with a sick endpoint and a brain that knows what `learned` knows; its first proposal.
fn proposed(learned: Learned) -> Proposal {
    let mut world = World::new(shop(60.0), 7_003, Mode::Autonomous);
    world.brain.learned = learned;
    world.mesh.faults.push(fault("cart", Some(1), 15.0, 0.6));
    world.run(60);
    world.brain.view().proposals.pop().unwrap()
}

#[test]
fn a_new_mesh_hears_what_the_simulator_has_shown_and_the_rule_decides() {
    let proposal = proposed(Learned::default());
    let [.., model, rule] = proposal.speakers.as_slice() else { panic!("{:?}", proposal.speakers) };
    assert!(model.name == "model" && model.says.contains("by 0 outcomes and "), "{model:?}");
    assert!(model.says.contains("simulated ones, worth 5"), "{model:?}");
    assert!(rule.name.starts_with("rule:") && proposal.confidence <= model.confidence, "{rule:?}");
}

/// The first proposal of a kind in a world that wants it, and against what.
fn wanted(kind: &str, learned: Learned) -> (Proposal, CauseKind) {
    let mut world = undoing::wanting(kind);
    world.brain.learned = learned;
    for _ in 0..360 {
        for event in world.second() {
            if let Event::Proposal { proposal } = event
                && proposal.action.kind.name() == kind
            {
                let incident = world.brain.incident(proposal.incident.as_deref().unwrap()).unwrap();
                return (proposal, incident.cause.kind);
            }
        }
    }
    panic!("{kind} is not proposed: {:?}", world.story());
}

#[test]
fn of_every_kind_with_outcomes_a_model_is_heard_and_believed() {
    for kind in ["eject_endpoint", "set_weights", "shed_load", "block_ips"] {
        let (before, cause) = wanted(kind, Learned::default());
        let mut learned = Learned::default();
        for _ in 0..40 {
            learned.outcome(&before, cause, EffectKind::Unchanged);
        }
        let (after, _) = wanted(kind, learned);
        let model = after.speakers.iter().find(|s| s.name == "model").unwrap();
        assert!(model.says.starts_with("disagrees"), "{kind}: {model:?}");
        assert!(after.confidence < 0.3 && before.confidence > 0.6, "{kind}: {after:?}");
    }
}

#[test]
fn a_model_that_disagrees_is_written_down_and_makes_the_brain_less_sure() {
    let before = proposed(Learned::default());
    let mut learned = Learned::default();
    for _ in 0..60 {
        learned.outcome(&before, CauseKind::BadEndpoint, EffectKind::Unchanged);
    }
    // What it knows outlives the brain that learned it.
    let kept = serde_json::to_string(&learned).unwrap();
    let after = proposed(serde_json::from_str(&kept).unwrap());
    let model = after.speakers.iter().find(|s| s.name == "model").unwrap();
    assert!(model.says.starts_with("disagrees"), "{model:?}");
    assert!(after.confidence < 0.5 && before.confidence > 0.8, "{} {}", after.confidence, before.confidence);
}

#[test]
fn what_was_learned_names_a_remedy_where_no_rule_does_and_asks() {
    let before = proposed(Learned::default());
    let mut learned = Learned::default();
    for _ in 0..60 {
        learned.outcome(&before, CauseKind::BadEndpoint, EffectKind::Helped);
    }
    let mut world = World::new(shop(60.0), 7_003, Mode::Autonomous);
    world.brain.policies.rules.rules.clear();
    world.brain.learned = learned;
    world.mesh.faults.push(fault("cart", Some(1), 15.0, 0.6));
    world.run(60);
    let named = world.brain.view().proposals.pop().unwrap();
    assert!(named.is_by_model(), "{named:?}");
    assert_eq!(world.count(is_intent), 0, "only a rule lets the brain act alone");
}
