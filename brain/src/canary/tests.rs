//! The state machine against any world, and against the ones it is made for.

mod kinds;
mod story;

use std::collections::BTreeMap;

use protocol::action::ActionKind;

use super::judge::{Counts, Look, StratumCounts};
use super::*;
use crate::domain::{Actor, ActorKind};

fn spec(more: &str) -> CanarySpec {
    let text = format!("service: cart\nstable: v1\ncanary: v2\n{more}\n");
    protocol::document::Document::parse("canary.yaml", &text).unwrap().read().unwrap()
}

fn canary(more: &str) -> Canary {
    Canary::new("can-1".into(), spec(more), Actor { kind: ActorKind::Person, id: "ada".into() }, 0)
}

fn version(endpoints: usize, well: bool) -> VersionSight {
    let endpoints: BTreeMap<String, bool> =
        (0..endpoints).map(|n| (format!("10.0.0.{n}:80"), well)).collect();
    let capacity = endpoints.len() as f64 * 100.0;
    VersionSight { endpoints, capacity, is_configured: false }
}

/// Responses as late as usual: an exponential tail over the quickest, evenly drawn.
fn counts(requests: u64, failures: u64) -> Counts {
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    for nth in 0..requests {
        let rank = (nth as f64 + 0.5) / requests as f64;
        *buckets.entry(400 + (-(1.0 - rank).ln() * 20.0) as i32).or_default() += 1;
    }
    let latency = protocol::latency::Latency { buckets: buckets.into_iter().collect(), ..Default::default() };
    Counts { requests, failures, hard_failures: 0, latency }
}

/// One second of 400 requests, of which the canary gets its share.
fn look(at_ms: i64, weight: u32, canary_failing: f64) -> Look {
    let here = u64::from(weight) * 4;
    let failed = (here as f64 * canary_failing).round() as u64;
    let stratum = StratumCounts {
        stratum: "default".into(),
        stable: counts(400 - here, 0),
        canary: counts(here, failed.min(here)),
    };
    Look { at_ms, strata: vec![stratum], ..Look::default() }
}

/// A world in which proxies obey at once and telemetry comes every second.
struct World {
    now_ms: i64,
    sight: Sight,
    failing: f64,
    silent: bool,
    /// Percent of the requests that are copied, or ask for it.
    copies: u32,
    turn_ms: i64,
}

impl World {
    fn new() -> Self {
        let fleet = FleetSight {
            proxies: vec![("p1".into(), "b".into())],
            lacking: Vec::new(),
            stable: version(2, true),
            canary: version(2, true),
        };
        let sight = Sight { fleet, min_capacity: 0.5, ..Sight::default() };
        Self { now_ms: 0, sight, failing: 0.0, silent: false, copies: 0, turn_ms: 1_000 }
    }

    /// One turn: a second, unless the test says otherwise.
    fn second(&mut self, canary: &mut Canary) -> Vec<Change> {
        self.now_ms += self.turn_ms;
        let mut sight = self.sight.clone();
        sight.now_ms = self.now_ms;
        sight.held = canary.wanted();
        let at_ms = self.now_ms - 2_000;
        if !self.silent && self.now_ms % 1_000 == 0 {
            sight.looks = vec![look(at_ms, canary.weight().max(self.copies), self.failing)];
            sight.seen_to_ms = at_ms;
            self.sight.seen_to_ms = at_ms;
        }
        canary.turn(&sight)
    }

    fn run(&mut self, canary: &mut Canary, seconds: usize) {
        for _ in 0..seconds {
            self.second(canary);
        }
    }

    fn until_over(&mut self, canary: &mut Canary) -> usize {
        (1..=20_000)
            .find(|_| {
                self.second(canary);
                canary.phase.is_over()
            })
            .unwrap()
    }
}

#[test]
fn a_good_canary_is_promoted_step_by_step() {
    let (mut canary, mut world) = (canary("min_bake_s: 5"), World::new());
    let seconds = world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::Promoted, "{}", canary.why);
    let weights: Vec<u32> = canary.record.moves.iter().map(|m| m.weight).collect();
    assert!(weights.starts_with(&[0, 1]) && weights.ends_with(&[100, 100]), "{weights:?}");
    assert!(weights.is_sorted(), "{weights:?}");
    assert!(seconds < 1_200, "{seconds} s");
    assert_eq!(
        canary.wanted(),
        Some(ActionKind::PromoteCanary { version: "v2".into() }),
        "while it can be taken back"
    );
    world.run(&mut canary, 601);
    assert_eq!(canary.wanted(), None);
}

#[test]
fn a_bad_canary_is_rolled_back_for_a_stated_reason() {
    let (mut canary, mut world) = (canary("steps: [10, 50, 100]"), World::new());
    world.failing = 0.1;
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::RolledBack);
    assert!(canary.why.contains("errors"), "{}", canary.why);
    assert_eq!(canary.wanted(), Some(ActionKind::RollbackCanary { version: "v2".into() }));
    world.run(&mut canary, 120);
    assert_eq!(canary.wanted(), None, "the file gives it nothing");
}

#[test]
fn a_bad_version_that_the_file_gives_traffic_is_held_out() {
    let (mut canary, mut world) = (canary("steps: [10, 50, 100]"), World::new());
    world.failing = 0.5;
    world.sight.fleet.canary.is_configured = true;
    world.until_over(&mut canary);
    world.run(&mut canary, 600);
    assert!(canary.wanted().is_some());
    world.sight.fleet.canary.is_configured = false;
    world.run(&mut canary, 1);
    assert_eq!(canary.wanted(), None);
}

#[test]
fn without_telemetry_it_holds_and_the_time_does_not_count() {
    let (mut canary, mut world) = (canary("max_duration_s: 600"), World::new());
    world.run(&mut canary, 30);
    world.silent = true;
    world.run(&mut canary, 3_000);
    assert_eq!(canary.phase, Phase::Step);
    assert_eq!(canary.hold.as_ref().map(|h| h.kind), Some(HoldKind::Telemetry));
    assert!(canary.judged_ms < 60_000, "{}", canary.judged_ms);
}

#[test]
fn a_canary_that_nobody_asks_ends_undecided() {
    let (mut canary, mut world) = (canary("steps: [5, 100]\nmax_duration_s: 120"), World::new());
    world.silent = false;
    for _ in 0..400 {
        world.now_ms += 1_000;
        let sight = Sight {
            now_ms: world.now_ms,
            held: canary.wanted(),
            seen_to_ms: world.now_ms,
            ..world.sight.clone()
        };
        canary.turn(&sight);
    }
    assert_eq!(canary.phase, Phase::Undecided, "{}", canary.why);
    assert!(canary.why.contains("no request came"), "{}", canary.why);
    assert_eq!(canary.weight(), 0);
}

#[test]
fn a_canary_with_few_endpoints_never_gets_more_than_they_bear() {
    let (mut canary, mut world) = (canary("min_bake_s: 1"), World::new());
    world.sight.fleet.stable = version(20, true);
    world.sight.fleet.canary = version(1, true);
    world.run(&mut canary, 1_200);
    assert_eq!(canary.weight(), 10, "20 to 1, and half must stay");
    assert_eq!(canary.hold.as_ref().map(|h| h.kind), Some(HoldKind::Capacity));
    world.sight.fleet.canary = version(20, true);
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::Promoted, "{}", canary.why);
}

#[test]
fn an_incident_elsewhere_pauses_it_and_one_of_its_own_ends_it() {
    let trouble = |by_canary| Trouble { incident: "inc-1".into(), by_canary, summary: "cart is slow".into() };
    let (mut canary, mut world) = (canary(""), World::new());
    world.run(&mut canary, 60);
    let (step, weight) = (canary.step, canary.weight());
    world.sight.trouble = Some(trouble(false));
    world.run(&mut canary, 600);
    assert_eq!((canary.phase, canary.weight()), (Phase::Paused, weight), "the split stays as it is");
    world.sight.trouble = None;
    world.run(&mut canary, 2);
    assert!(canary.phase == Phase::Step && canary.step >= step);
    world.sight.trouble = Some(trouble(true));
    world.run(&mut canary, 5);
    assert_eq!(canary.phase, Phase::RolledBack);
    assert!(canary.why.starts_with("inc-1"), "{}", canary.why);
}

#[test]
fn what_needs_a_person_waits_for_one() {
    let (mut canary, mut world) =
        (canary("steps: [10, 50, 100]\napproval: steps\nmin_bake_s: 1"), World::new());
    let answers = |canary: &Canary, by: &str| {
        [Order::Pause, Order::Resume, Order::Promote, Order::Rollback]
            .map(|order| canary.is_answered_by(order, by))
    };
    world.run(&mut canary, 2);
    assert_eq!(answers(&canary, "ada"), [false; 4], "nothing is asked yet");
    world.run(&mut canary, 900);
    assert_eq!((canary.weight(), canary.hold.as_ref().map(|h| h.kind)), (10, Some(HoldKind::Approval)));
    assert_eq!(answers(&canary, "ada"), [true, true, false, false]);
    canary.order(Order::Pause, "ada", "", world.now_ms).unwrap();
    assert_eq!(answers(&canary, "ada"), [false, true, false, false], "her own pause");
    assert_eq!(answers(&canary, "bob"), [false; 4]);
    canary.order(Order::Resume, "ada", "", world.now_ms).unwrap();
    world.run(&mut canary, 5);
    assert_eq!((canary.weight(), canary.hold.as_ref().map(|h| h.kind)), (10, Some(HoldKind::Approval)));
    canary.order(Order::Resume, "ada", "good numbers", world.now_ms).unwrap();
    let agreed = canary.record.moves.last().unwrap();
    assert_eq!((agreed.by.as_str(), agreed.why.as_str()), ("ada", "agreed to 50 %: good numbers"));
    world.run(&mut canary, 900);
    assert_eq!((canary.weight(), canary.hold.as_ref().map(|h| h.kind)), (50, Some(HoldKind::Approval)));
    let refused = canary.order(Order::Resume, "ada", "", world.now_ms).unwrap_err().to_string();
    assert!(refused.contains("promote it"), "a promotion is said by its name: {refused}");
    assert_eq!(answers(&canary, "ada"), [true, false, true, false]);
    canary.order(Order::Promote, "ada", "looks fine", world.now_ms).unwrap();
    world.until_over(&mut canary);
    assert_eq!((canary.phase, canary.why.as_str()), (Phase::Promoted, "looks fine"));
    canary.order(Order::Rollback, "ada", "second thoughts", world.now_ms).unwrap();
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::RolledBack);
    assert!(canary.order(Order::Promote, "ada", "", world.now_ms).is_err());
}

#[test]
fn gates_are_asked_before_it_goes_on_and_told_when_it_is_over() {
    let gate = |at: &str, more: &str| format!("{{ at: {at}, url: \"http://127.0.0.1:1/{at}\"{more} }}");
    let gates =
        [gate("confirm_start", ""), gate("confirm_promotion", ", when_unreachable: fail"), gate("after", "")];
    let (mut canary, mut world) =
        (canary(&format!("steps: [50, 100]\nmin_bake_s: 1\ngates: [{}]", gates.join(", "))), World::new());
    world.run(&mut canary, 2);
    assert_eq!((canary.phase, canary.hold.as_ref().map(|h| h.kind)), (Phase::Pending, Some(HoldKind::Gate)));
    let asked: Vec<String> = canary.calls.drain(..).map(|call| call.question).collect();
    assert_eq!(asked, ["0@start"], "once");
    canary.heard("0@start", GateAnswer::Closed("not before nine".into()));
    world.run(&mut canary, 7);
    assert_eq!(canary.calls.drain(..).count(), 1, "and again after a while");
    canary.heard("0@start", GateAnswer::Open);
    while canary.calls.is_empty() {
        world.second(&mut canary);
    }
    assert_eq!(
        (canary.weight(), canary.calls.drain(..).next().unwrap().question),
        (50, "1@promotion".to_owned())
    );
    canary.heard("1@promotion", GateAnswer::Unreachable("no connection".into()));
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::RolledBack);
    assert!(canary.why.contains("confirm_promotion: no connection"), "{}", canary.why);
    assert_eq!(canary.calls.drain(..).next().unwrap().question, "2@rolled_back");
}
