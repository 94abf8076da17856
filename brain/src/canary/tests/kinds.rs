//! Ways to try a version, and what a trial may cost.

use protocol::action::ActionKind;

use super::*;

const PREVIEW: &str =
    "preview: { key: header:x-preview, value: yes-please, requests: 40 }\nsteps: [10, 100]\nmin_bake_s: 2";

#[test]
fn those_who_ask_get_it_first_and_speak_only_against_it() {
    let (mut canary, mut world) = (canary(PREVIEW), World::new());
    world.run(&mut canary, 5);
    let Some(ActionKind::SetCanaryWeight { weight: 0, preview: Some(preview), .. }) = canary.wanted() else {
        panic!("{:?}", canary.wanted());
    };
    assert_eq!(preview.key, "header:x-preview");
    assert_eq!(canary.view().step, 0, "the preview is none of the steps");
    world.run(&mut canary, 300);
    assert_eq!(canary.hold.as_ref().map(|h| h.kind), Some(HoldKind::Traffic), "nobody asks");
    world.copies = 5;
    world.run(&mut canary, 6);
    assert_eq!((canary.weight(), canary.view().step), (10, 1), "{:?}", canary.hold);
    assert!(canary.record.previewed.canary >= 40);
    let (mut bad, mut world) = (self::canary(PREVIEW), World::new());
    (world.copies, world.failing) = (5, 0.6);
    world.until_over(&mut bad);
    assert_eq!((bad.phase, bad.record.totals.canary), (Phase::RolledBack, 0), "{}", bad.why);
}

#[test]
fn after_a_preview_a_step_may_wait_for_a_person() {
    let (mut canary, mut world) = (canary(&format!("{PREVIEW}\napproval: steps")), World::new());
    world.copies = 20;
    world.run(&mut canary, 60);
    assert_eq!((canary.weight(), canary.hold.as_ref().map(|h| h.kind)), (0, Some(HoldKind::Approval)));
    canary.order(Order::Resume, "ada", "", world.now_ms).unwrap();
    world.run(&mut canary, 2);
    assert_eq!(canary.weight(), 10);
}

/// Worse than the judge minds.
const LENIENT: &str = "steps: [50, 100]\njudge: { errors: { tolerance: { odds: 90, share: 0.4 }, limit: { odds: 100, \
                       share: 0.49 } } }\n";

#[test]
fn what_a_canary_may_cost_ends_it_however_unclear_the_evidence() {
    let (mut canary, mut world) =
        (canary(&format!("{LENIENT}error_budget: {{ failures: 100 }}")), World::new());
    world.failing = 0.05;
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::RolledBack);
    assert_eq!(canary.why, "error budget: 110 of 100 failures spent", "10 a second");
    assert_eq!(canary.record.totals.canary_failed, 110);
}

#[test]
fn a_budget_that_is_spent_waits_for_a_person_who_grants_as_much_again() {
    let more = format!("{LENIENT}error_budget: {{ failures: 100, when_spent: pause }}");
    let (mut canary, mut world) = (canary(&more), World::new());
    world.failing = 0.05;
    world.run(&mut canary, 60);
    assert_eq!((canary.phase, canary.weight()), (Phase::Paused, 50), "{}", canary.why);
    canary.order(Order::Resume, "ada", "", world.now_ms).unwrap();
    world.run(&mut canary, 5);
    assert_eq!(canary.phase, Phase::Step, "{}", canary.why);
    world.run(&mut canary, 10);
    assert_eq!(canary.phase, Phase::Paused, "{}", canary.why);
}

#[test]
fn a_share_of_the_objectives_budget_grows_with_the_rate_of_the_service() {
    // 400 a second are 34,560,000 a day; a thousandth may fail, and of that a thousandth is this rollout's.
    let more = "error_budget: { objective: 0.999, period_days: 1, share: 0.001 }";
    let (mut canary, mut world) = (canary(more), World::new());
    world.run(&mut canary, 20);
    assert_eq!(canary.budget().unwrap().allowed, None, "too early to tell the rate");
    world.run(&mut canary, 40);
    assert!((canary.budget().unwrap().allowed.unwrap() - 34.56).abs() < 0.01, "{:?}", canary.budget());
    for wrong in ["{}", "{ failures: 1, objective: 0.9 }", "{ objective: 1.0 }", "{ failures: 5, share: 0 }"]
    {
        assert!(!spec(&format!("error_budget: {wrong}")).findings().is_empty(), "{wrong}");
    }
}

#[test]
fn a_switch_is_compared_with_the_seconds_before_it_and_goes_back_at_once() {
    let more = "strategy: blue_green\nmin_bake_s: 60\njudge: { warm_up_ms: 5000, promote_e: 10, errors: { tolerance: \
                { odds: 1.25, share: 0.001 }, limit: { odds: 4, share: 0.02 } } }";
    let (mut good, mut world) = (canary(more), World::new());
    world.run(&mut good, 60);
    assert_eq!((good.phase, good.weight()), (Phase::Pending, 0), "v1 is listened to first");
    world.until_over(&mut good);
    let weights: Vec<u32> = good.record.moves.iter().map(|m| m.weight).collect();
    assert_eq!((good.phase, weights), (Phase::Promoted, vec![0, 100, 100, 100]), "{}", good.why);
    let (mut bad, mut world) = (canary(more), World::new());
    world.run(&mut bad, 70);
    world.failing = 0.05;
    world.until_over(&mut bad);
    assert_eq!(bad.phase, Phase::RolledBack, "{}", bad.why);
}

#[test]
fn an_ab_test_reads_out_and_promotes_nothing() {
    let (mut canary, mut world) = (canary("strategy: ab\nsteps: [20]\nmax_duration_s: 300"), World::new());
    world.run(&mut canary, 200);
    assert_eq!(canary.weight(), 20);
    assert!(canary.order(Order::Promote, "ada", "", world.now_ms).is_err());
    world.until_over(&mut canary);
    assert_eq!((canary.phase, canary.wanted()), (Phase::Finished, None));
    assert!(canary.why.contains("read-out"), "{}", canary.why);
    let (mut canary, mut world) =
        (self::canary("strategy: ab\nsteps: [20]\nmax_duration_s: 8"), World::new());
    world.turn_ms = 250;
    world.until_over(&mut canary);
    assert_eq!(canary.phase, Phase::Finished, "its time is over between two seconds: {}", canary.why);
}

#[test]
fn a_comparison_by_the_routes_own_copies_asks_nothing_of_the_proxies() {
    let (mut canary, mut world) = (canary("strategy: mirror\nmin_bake_s: 1"), World::new());
    world.copies = 20;
    for _ in 0..2_000 {
        world.second(&mut canary);
        assert_eq!(canary.wanted(), None);
    }
    assert_eq!(canary.phase, Phase::Finished, "{:?}", canary.hold);
}

#[test]
fn copies_that_a_lease_sends_end_with_the_comparison() {
    let more = "strategy: mirror\ncopies: { percent: 20 }\nmin_bake_s: 1";
    let (mut canary, mut world) = (canary(more), World::new());
    world.copies = 20;
    world.run(&mut canary, 2);
    let Some(ActionKind::SetCanaryWeight { weight: 0, copies: Some(copies), .. }) = canary.wanted() else {
        panic!("{:?}", canary.wanted());
    };
    assert_eq!((copies.percent, copies.all_methods), (20, false));
    world.failing = 0.3;
    world.until_over(&mut canary);
    assert_eq!((canary.phase, canary.wanted()), (Phase::RolledBack, None), "{}", canary.why);
}
