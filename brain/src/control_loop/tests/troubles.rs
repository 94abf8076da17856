//! Worlds in which remedies help, or do not, for reasons of the mesh: noise, a fault that ends by itself, siblings
//! that cannot carry what is moved to them, a sickness that comes with the load but does not go with it.

use fastrand::Rng;

use super::*;
use crate::domain::{EffectKind, Proposal};
use crate::learning::{Trial, numbers_of};

/// Quiet before a trouble that only a baseline shows, seconds.
const QUIET_S: f64 = 310.0;
/// Where abuse comes from.
const ABUSERS: [&str; 5] = ["203.0.113.4", "203.0.113.5", "192.0.2.77", "192.0.2.78", "203.0.113.200"];

/// A world and how long it is looked at, seconds: all of it from the seed.
pub(super) fn world(seed: u64) -> (World, usize) {
    let rng = &mut Rng::with_seed(seed ^ 0x7EAC);
    match seed % 8 {
        0..=2 => (sick_endpoint(seed, rng), 100),
        3 | 4 => (sick_version(seed, rng), 110),
        5 | 6 => (crowd(seed, rng), 400),
        _ => (abuse(seed, rng), 370),
    }
}

fn between(rng: &mut Rng, least: f64, most: f64) -> f64 {
    least + rng.f64() * (most - least)
}

/// For good or, in half the worlds, for a while.
fn ends(rng: &mut Rng, from_s: f64) -> f64 {
    if rng.bool() { 1e9 } else { from_s + between(rng, 8.0, 60.0) }
}

/// Failures, few or many alike often; in a quarter of the worlds slowness.
fn sickness(rng: &mut Rng, from_s: f64) -> Fault {
    let to_s = ends(rng, from_s);
    let share = between(rng, 0.04_f64.ln(), 0.0).exp();
    let (error_share, slow_factor) =
        if rng.u8(0..4) == 0 { (0.0, between(rng, 2.0, 10.0)) } else { (share, 1.0) };
    Fault { to_s, slow_factor, error_share, ..fault("cart", None, from_s, 0.0) }
}

/// In a quarter of the worlds a service has little to spare.
fn spare(rng: &mut Rng, rps: f64) -> f64 {
    if rng.u8(0..4) == 0 { rps * between(rng, 1.25, 2.0) } else { f64::INFINITY }
}

fn sick_endpoint(seed: u64, rng: &mut Rng) -> World {
    let rps = between(rng, 30.0, 250.0);
    let mut specs = shop(rps);
    specs[1].endpoints = rng.usize(3..=6);
    specs[1].bears_rps = spare(rng, rps);
    let endpoint = rng.usize(0..specs[1].endpoints);
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.mesh.faults.push(Fault { endpoint: Some(endpoint), ..sickness(rng, 20.0) });
    world
}

fn sick_version(seed: u64, rng: &mut Rng) -> World {
    let rps = between(rng, 60.0, 250.0);
    let mut specs = shop(rps);
    specs[1].endpoints = rng.usize(4..=6);
    specs[1].new = rng.usize(1..=2);
    specs[1].bears_rps = spare(rng, rps);
    let (all, new) = (specs[1].endpoints, specs[1].new);
    let mut world = World::new(specs, seed, Mode::Autonomous);
    let sickness = sickness(rng, 30.0);
    let each = |endpoint| Fault { endpoint: Some(endpoint), ..sickness.clone() };
    world.mesh.faults.extend((all - new..all).map(each));
    world
}

/// More is asked than is borne, by nobody in particular; in three of ten worlds the service is sick besides.
fn crowd(seed: u64, rng: &mut Rng) -> World {
    let rps = between(rng, 60.0, 150.0);
    let mut specs = shop(rps);
    let index = rng.usize(0..2);
    specs[index].bears_rps = rps * between(rng, 1.3, 2.0);
    let rush = specs[index].bears_rps * between(rng, 1.1, 2.5) - rps;
    let service = specs[index].name;
    let mut world = quiet(specs, seed);
    let to_s = ends(rng, QUIET_S);
    world.mesh.surges.push(Surge { from_s: QUIET_S, to_s, rps: rush, clients: Vec::new() });
    if rng.u8(0..10) < 3 {
        let share = between(rng, 0.1, 0.6);
        world.mesh.faults.push(Fault { to_s, ..fault(service, None, QUIET_S + 1.0, share) });
    }
    world
}

/// A few clients ask much, of a service that bears it or does not.
fn abuse(seed: u64, rng: &mut Rng) -> World {
    let rps = between(rng, 60.0, 150.0);
    let mut specs = shop(rps);
    specs[0].bears_rps = rps * between(rng, 1.2, 4.0);
    let mut world = quiet(specs, seed);
    let clients = ABUSERS[..rng.usize(1..=ABUSERS.len())].to_vec();
    let (to_s, times) = (ends(rng, QUIET_S), between(rng, 0.5, 3.0));
    world.mesh.surges.push(Surge { from_s: QUIET_S, to_s, rps: rps * times, clients });
    world
}

fn quiet(specs: Vec<Spec>, seed: u64) -> World {
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.brain.policies.guard.learning_s = 300;
    world
}

/// One action and what came of it.
pub(super) struct Came {
    pub(super) proposal: Proposal,
    pub(super) cause: CauseKind,
    pub(super) effect: EffectKind,
}

impl Came {
    /// As the simulator keeps it. Thousandths: what is finer is noise.
    pub(super) fn trial(&self, seed: u64) -> Trial {
        // Nothing is added but the sign that a nought has.
        let rounded = |number: f64| (number * 1_000.0).round() / 1_000.0 + 0.0;
        let said = self.proposal.speakers.last().map_or(1.0, |speaker| speaker.confidence);
        let numbers = numbers_of(&self.proposal).map(rounded);
        Trial(seed, rounded(said), self.effect == EffectKind::Helped, numbers)
    }
}

/// The first action of the world of `seed` whose effect could be measured. A person agrees to all that is asked, so
/// that what is not done alone is known as well.
pub(super) fn came(seed: u64) -> Option<Came> {
    let (mut world, seconds) = world(seed);
    let mut causes: BTreeMap<String, CauseKind> = BTreeMap::new();
    for _ in 0..seconds {
        world.agree();
        for event in world.second() {
            match event {
                Event::Proposal { proposal } => {
                    let incident = proposal.incident.as_deref().and_then(|id| world.brain.incident(id));
                    causes.extend(incident.map(|incident| (proposal.id, incident.cause.kind)));
                }
                Event::Effect { action, effect } if effect.kind != EffectKind::Unknown => {
                    let proposal =
                        world.brain.view().proposals.into_iter().find(|p| p.id == action.proposal)?;
                    return Some(Came { cause: *causes.get(&proposal.id)?, proposal, effect: effect.kind });
                }
                _ => {}
            }
        }
    }
    None
}
