//! Whatever happens to a rollout.

use proptest::prelude::{ProptestConfig, Strategy, *};
use protocol::action::ActionKind;

use super::*;

/// What may happen to a rollout.
#[derive(Debug, Clone)]
enum Happens {
    Seconds {
        count: usize,
        failing: f64,
        silent: bool,
    },
    Ordered(Order),
    Incident {
        by_canary: bool,
    },
    Calm,
    Endpoints {
        canary: usize,
        well: bool,
    },
    Refused(bool),
    Stopped(bool),
    /// The brain is killed, and goes on from what it kept.
    Killed {
        away_s: i64,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    let order =
        prop_oneof![Just(Order::Pause), Just(Order::Resume), Just(Order::Promote), Just(Order::Rollback)];
    prop_oneof![
        6 => (1usize..60, prop_oneof![4 => Just(0.0), 1 => 0.0f64..1.0], any::<bool>())
            .prop_map(|(count, failing, silent)| Happens::Seconds { count, failing, silent }),
        1 => order.prop_map(Happens::Ordered),
        1 => any::<bool>().prop_map(|by_canary| Happens::Incident { by_canary }),
        2 => Just(Happens::Calm),
        1 => (0usize..4, any::<bool>()).prop_map(|(canary, well)| Happens::Endpoints { canary, well }),
        1 => any::<bool>().prop_map(Happens::Refused),
        1 => any::<bool>().prop_map(Happens::Stopped),
        1 => (0i64..7_200).prop_map(|away_s| Happens::Killed { away_s }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_share_is_never_skipped_and_an_end_stays_an_end(
        story in proptest::collection::vec(happens(), 1..30)
    ) {
        let (mut canary, mut world) = (canary("min_bake_s: 2\nmax_duration_s: 600\nmax_weight: 40"), World::new());
        let weights = canary.spec.weights();
        for event in story {
            let seconds = match event {
                Happens::Seconds { count, failing, silent } => {
                    (world.failing, world.silent) = (failing, silent);
                    count
                }
                Happens::Ordered(order) => {
                    let before = canary.clone();
                    if canary.order(order, "ada", "", world.now_ms).is_err() {
                        prop_assert_eq!(canary.phase, before.phase);
                    }
                    1
                }
                Happens::Incident { by_canary } => {
                    let summary = "trouble".to_owned();
                    world.sight.trouble = Some(Trouble { incident: "inc-1".into(), by_canary, summary });
                    3
                }
                Happens::Calm => {
                    (world.sight.trouble, world.sight.refused, world.sight.stopped) = (None, None, None);
                    1
                }
                Happens::Endpoints { canary, well } => {
                    world.sight.fleet.canary = version(canary, well);
                    5
                }
                Happens::Refused(yes) => {
                    world.sight.refused = yes.then(|| "the floor".to_owned());
                    5
                }
                Happens::Stopped(yes) => {
                    world.sight.stopped = yes.then_some("frozen");
                    5
                }
                Happens::Killed { away_s } => {
                    let kept = serde_json::to_string(&canary).unwrap();
                    let again: Canary = serde_json::from_str(&kept).unwrap();
                    prop_assert_eq!(serde_json::to_string(&again).unwrap(), kept);
                    prop_assert_eq!(again.wanted(), canary.wanted());
                    canary = again;
                    world.now_ms += away_s * 1_000;
                    1
                }
            };
            for _ in 0..seconds {
                let (phase, step, was_over) = (canary.phase, canary.step, canary.phase.is_over());
                world.second(&mut canary);
                // One step at a time, never above the maximum, nothing after the end but a promotion's way back.
                prop_assert!(canary.step == step || canary.step == step + 1);
                prop_assert!(canary.step < weights.len());
                if let Some(ActionKind::SetCanaryWeight { weight, .. }) = canary.wanted() {
                    prop_assert!(weight <= 40 && !canary.phase.is_over());
                }
                if was_over && canary.phase != phase {
                    prop_assert!(phase == Phase::Promoted && canary.phase == Phase::RollingBack);
                }
                if canary.phase == Phase::Promoting && phase == Phase::Step {
                    let people = canary.record.moves.iter().any(|m| m.phase == Phase::Promoting && m.by == "ada");
                    prop_assert!(people || canary.judge.is_good_for(100.0), "{}", canary.why);
                }
            }
        }
    }

    #[test]
    fn what_is_left_alone_ends(failing in 0.0f64..0.2, silent_s in 0usize..200) {
        let (mut canary, mut world) = (canary("min_bake_s: 2\nmax_duration_s: 300"), World::new());
        world.failing = failing;
        world.silent = true;
        world.run(&mut canary, silent_s);
        world.silent = false;
        world.run(&mut canary, 1_500);
        prop_assert!(canary.phase.is_over(), "{:?} {:?}", canary.phase, canary.hold);
        prop_assert!(canary.weight() == 0 || canary.phase == Phase::Promoted);
    }
}
