//! Actions that are known to help, to change nothing or to do harm: which share of them is undone, and how soon.

use std::fmt::Write as _;

use super::*;
use crate::domain::EffectKind;

/// Seeds of these worlds: they teach nobody.
const FIRST_SEED: u64 = 60_000;
/// After the fault, seconds; what helps must be held so long.
const WATCHED_S: usize = 45;

/// What an action is worth in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    Helpful,
    Useless,
    Harmful,
}

/// An endpoint of cart fails half of its requests. Useless: without it the same requests fail elsewhere. Harmful:
/// without it every second request fails.
fn endpoint(worth: Worth, seed: u64) -> World {
    let mut world = World::new(shop(100.0), seed, Mode::Autonomous);
    world.mesh.faults.push(fault("cart", Some(seed as usize % 5), 20.0, 0.5));
    world.mesh.harm = [0.0, 0.1, 0.5][worth as usize];
    world
}

/// The same with a version that has two of five endpoints.
fn version(worth: Worth, seed: u64) -> World {
    let mut specs = shop(200.0);
    specs[1].new = 2;
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.mesh.faults.extend([3, 4].map(|endpoint| fault("cart", Some(endpoint), 30.0, 0.5)));
    world.mesh.harm = [0.0, 0.2, 0.7][worth as usize];
    world
}

/// A crowd. Useless: the service fails with the crowd, but not for its load.
fn crowd(worth: Worth, seed: u64) -> World {
    let mut specs = shop(100.0);
    if worth == Worth::Helpful {
        specs[0].bears_rps = 160.0;
    }
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.brain.policies.guard.learning_s = 300;
    world.mesh.surges.push(Surge { from_s: 310.0, to_s: 1e9, rps: 150.0, clients: Vec::new() });
    if worth == Worth::Useless {
        world.mesh.faults.push(fault("web", None, 312.0, 0.4));
    }
    world
}

/// A few clients ask much of a service that does not bear it.
fn abuse(seed: u64) -> World {
    let mut specs = shop(100.0);
    specs[0].bears_rps = 160.0;
    let mut world = World::new(specs, seed, Mode::Autonomous);
    world.brain.policies.guard.learning_s = 300;
    let clients = vec!["203.0.113.4", "203.0.113.5"];
    world.mesh.surges.push(Surge { from_s: 310.0, to_s: 1e9, rps: 150.0, clients });
    world
}

/// A world in which this kind of action helps.
pub(super) fn wanting(kind: &str) -> World {
    let way = WAYS.iter().find(|(name, ..)| *name == kind);
    way.map_or_else(|| abuse(FIRST_SEED), |(_, _, build, _)| build(Worth::Helpful, FIRST_SEED))
}

/// A way to a world, and when its trouble begins, seconds.
type Way = (&'static str, usize, fn(Worth, u64) -> World, &'static [Worth]);

const ALL: &[Worth] = &[Worth::Helpful, Worth::Useless, Worth::Harmful];
const WAYS: [Way; 3] = [
    ("eject_endpoint", 20, endpoint, ALL),
    ("set_weights", 30, version, ALL),
    ("shed_load", 312, crowd, &[Worth::Helpful, Worth::Useless]),
];

/// What became of the actions of one kind and worth.
pub(super) struct Row {
    kind: &'static str,
    worth: Worth,
    acted: usize,
    /// Seconds from its intent to its undoing, of each that was undone, in order of length.
    undone_s: Vec<f64>,
}

impl Row {
    fn at(&self, share: f64) -> String {
        let last = self.undone_s.len().saturating_sub(1) as f64;
        let found = self.undone_s.get((last * share).round() as usize);
        found.map_or("-".to_owned(), |seconds| format!("{seconds:.0} s"))
    }
}

/// When the first action of a kind was begun and, where it was undone because of its effect, when.
fn first(world: &World, kind: &str) -> Option<(i64, Option<i64>)> {
    let (begun_ms, id) = world.said.iter().find_map(|(at_ms, event)| match event {
        Event::Intent { action, .. } if action.action.kind.name() == kind => Some((*at_ms, &action.id)),
        _ => None,
    })?;
    let undone = world.said.iter().find_map(|(at_ms, event)| match event {
        Event::Undo { action, why, .. } if action.id == *id && why.starts_with("it did") => Some(*at_ms),
        _ => None,
    });
    Some((begun_ms, undone))
}

fn row((kind, from_s, build, _): Way, worth: Worth, worlds: u64) -> Row {
    let mut row = Row { kind, worth, acted: 0, undone_s: Vec::new() };
    for seed in FIRST_SEED..FIRST_SEED + worlds {
        let mut world = build(worth, seed);
        world.run(from_s + WATCHED_S);
        let Some((begun_ms, undone)) = first(&world, kind) else { continue };
        row.acted += 1;
        row.undone_s.extend(undone.map(|at_ms| (at_ms - begun_ms) as f64 / 1_000.0));
    }
    row.undone_s.sort_by(f64::total_cmp);
    row
}

/// `worlds` of each kind and worth.
pub(super) fn rows(worlds: u64) -> Vec<Row> {
    let each = |way: Way| way.3.iter().map(move |worth| row(way, *worth, worlds));
    WAYS.into_iter().flat_map(each).collect()
}

/// As a part of a page.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "## Helpful, useless and harmful actions\n\n\
         Worlds in which it is known what an action is worth (seeds from {FIRST_SEED} on), watched for {WATCHED_S} s: what is \
         kept, what is undone because it did not help or did harm, and how long after it was begun.\n\n\
         | action | worth | acted | kept | undone | median | p95 | longest |\n|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let _ = writeln!(
            table,
            "| {} | {:?} | {} | {} | {} | {} | {} | {} |",
            row.kind,
            row.worth,
            row.acted,
            row.acted - row.undone_s.len(),
            row.undone_s.len(),
            row.at(0.5),
            row.at(0.95),
            row.at(1.0)
        );
    }
    table
}

#[test]
fn what_helps_is_kept_and_what_does_not_is_undone_within_half_a_minute() {
    for row in rows(3) {
        assert!(row.acted >= 2, "{} {:?}: acted {}", row.kind, row.worth, row.acted);
        let undone = if row.worth == Worth::Helpful { 0 } else { row.acted };
        assert_eq!(row.undone_s.len(), undone, "{} {:?}", row.kind, row.worth);
        assert!(row.undone_s.iter().all(|seconds| *seconds <= 30.0), "{} {:?}", row.kind, row.undone_s);
    }
}

#[test]
fn harm_is_told_as_harm() {
    let mut world = endpoint(Worth::Harmful, FIRST_SEED);
    world.run(60);
    let harmed = |e: &Event| matches!(e, Event::Effect { effect, .. } if effect.kind == EffectKind::Harmed);
    assert_eq!(world.count(harmed), 1, "{:?}", world.story());
}
