//! What the judge promises, on made-up streams.

use proptest::prelude::*;

use super::*;

/// A stream of looks: shares, latencies and sizes by side.
#[derive(Debug, Clone, Copy)]
struct Stream {
    stable_rps: f64,
    canary_rps: f64,
    stable_errors: f64,
    canary_errors: f64,
    slower: f64,
}

const EQUALS: Stream =
    Stream { stable_rps: 190.0, canary_rps: 10.0, stable_errors: 0.005, canary_errors: 0.005, slower: 1.0 };

struct Dice(fastrand::Rng);

impl Dice {
    fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut n, mut product) = ((-mean).exp(), 0, self.0.f64());
        while product > limit {
            (n, product) = (n + 1, product * self.0.f64());
        }
        n
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.0.f64()).sum::<f64>() - 6.0
    }

    fn counts(&mut self, mean: f64, errors: f64, slower: f64) -> Counts {
        let mut counts = Counts { requests: self.poisson(mean), ..Counts::default() };
        for _ in 0..counts.requests {
            counts.failures += u64::from(self.0.f64() < errors);
            let us = 20_000.0 * slower * (0.5 * self.normal()).exp();
            let one = protocol::latency::Latency {
                buckets: vec![(protocol::latency::index_of(us as u64), 1)],
                ..Default::default()
            };
            counts.add_latency(&one);
        }
        counts
    }

    fn look(&mut self, second: i64, stream: Stream) -> Look {
        let stratum = |dice: &mut Self, name: &str, part: f64| StratumCounts {
            stratum: name.to_owned(),
            stable: dice.counts(stream.stable_rps * part, stream.stable_errors, 1.0),
            canary: dice.counts(stream.canary_rps * part, stream.canary_errors, stream.slower),
        };
        let strata = vec![stratum(self, "browse", 0.7), stratum(self, "buy", 0.3)];
        Look { at_ms: second * 1_000, strata, ..Look::default() }
    }
}

fn dice(seed: u64) -> Dice {
    Dice(fastrand::Rng::with_seed(seed))
}

/// Shows the stream until a decision, at most so many seconds; the second of it.
fn run(seed: u64, stream: Stream, seconds: i64) -> (Judge, i64) {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(seed));
    for second in 1..=seconds {
        judge.observe(&dice.look(second, stream));
        if judge.is_good_for(100.0) || matches!(judge.verdict(), Verdict::Bad { .. }) {
            return (judge, second);
        }
    }
    (judge, seconds)
}

fn why(judge: &Judge) -> Option<Why> {
    match judge.verdict() {
        Verdict::Bad { why } => Some(why),
        _ => None,
    }
}

#[test]
fn an_equal_canary_is_promoted() {
    let (judge, second) = run(1, EQUALS, 900);
    assert_eq!(judge.verdict(), Verdict::Good, "{:#?}", judge.evidence());
    assert!(second > 30);
}

#[test]
fn a_canary_with_more_errors_goes_and_the_reason_is_in_numbers() {
    let (judge, second) = run(2, Stream { canary_errors: 0.05, ..EQUALS }, 900);
    let why = why(&judge).unwrap();
    assert_eq!((why.metric.as_str(), why.hard), ("errors", false));
    assert!(why.text.contains("of the canary's") && second < 120, "{second} s: {}", why.text);
}

#[test]
fn a_slower_canary_goes_and_a_slightly_slower_one_does_not() {
    let (judge, second) = run(3, Stream { slower: 1.5, ..EQUALS }, 900);
    assert!(why(&judge).unwrap().metric.starts_with("latency") && second < 120, "{second}");
    let (judge, _) = run(4, Stream { slower: 1.08, ..EQUALS }, 600);
    assert_eq!(why(&judge), None);
}

#[test]
fn a_stable_version_without_errors_is_safe_to_compare_with() {
    let zero = Stream { stable_errors: 0.0, canary_errors: 0.0, ..EQUALS };
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(5));
    for second in 1..=200 {
        let mut look = dice.look(second, zero);
        if let Some(stratum) = look.strata.first_mut().filter(|_| second == 100) {
            stratum.canary.requests += 2;
            stratum.canary.failures += 2;
        }
        judge.observe(&look);
    }
    assert_eq!(why(&judge), None, "two stray failures");
    let (judge, second) = run(6, Stream { canary_errors: 0.03, ..zero }, 900);
    assert!(why(&judge).is_some() && second < 120, "{second}");
}

#[test]
fn what_is_down_or_dies_again_and_again_goes_at_once() {
    let mut judge = Judge::new(&JudgeSettings::default());
    let mut dice = dice(7);
    for second in 1..=3 {
        let mut look = dice.look(second, EQUALS);
        for stratum in &mut look.strata {
            (stratum.canary.failures, stratum.canary.hard_failures) =
                (stratum.canary.requests, stratum.canary.requests);
        }
        judge.observe(&look);
    }
    assert!(why(&judge).unwrap().hard, "down, though it is starting up");
    for (restarts, crash_looping) in [(3, false), (0, true)] {
        let mut judge = Judge::new(&JudgeSettings::default());
        judge.observe(&dice.look(1, EQUALS));
        judge.observe(&Look { restarts, crash_looping, ..dice.look(2, EQUALS) });
        assert!(why(&judge).unwrap().hard);
    }
}

#[test]
fn an_outage_of_both_is_not_the_canarys_fault() {
    let (judge, _) = run(8, Stream { stable_errors: 0.7, canary_errors: 0.7, ..EQUALS }, 200);
    assert_eq!(why(&judge), None);
}

#[test]
fn one_bad_route_is_found_and_named() {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(9));
    for second in 1..=400 {
        let mut look = dice.look(second, EQUALS);
        if let Some(buy) = look.strata.get_mut(1) {
            buy.canary = dice.counts(3.0, 0.10, 1.0);
        }
        judge.observe(&look);
    }
    let why = why(&judge).unwrap();
    assert!(why.text.contains("route buy"), "{}", why.text);
}

#[test]
fn the_forecast_shrinks_and_is_about_right() {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(10));
    let mut forecasts = Vec::new();
    for second in 1..=900 {
        judge.observe(&dice.look(second, EQUALS));
        match judge.verdict() {
            Verdict::Undecided { needs_requests } => {
                forecasts.push((judge.evidence().canary_requests, needs_requests));
            }
            _ => break,
        }
    }
    assert_eq!(judge.verdict(), Verdict::Good);
    let needed = judge.evidence().canary_requests as f64;
    let (seen, forecast) = forecasts[forecasts.len() / 4];
    let foretold = seen as f64 + forecast.unwrap() as f64;
    assert!((0.4..2.5).contains(&(foretold / needed)), "{foretold} foretold, {needed} needed");
}

#[test]
fn little_exposure_needs_little_evidence() {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(11));
    let mut first = BTreeMap::new();
    for second in 1..=900 {
        judge.observe(&dice.look(second, EQUALS));
        for percent in [5, 25, 100] {
            if judge.is_good_for(f64::from(percent)) {
                first.entry(percent).or_insert(second);
            }
        }
    }
    assert!(first[&5] < first[&25] && first[&25] < first[&100], "{first:?}");
}

#[test]
fn what_changes_in_the_middle_is_still_found() {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(12));
    for second in 1..=600 {
        let late = if second > 400 { 0.05 } else { 0.005 };
        judge.observe(&dice.look(second, Stream { canary_errors: late, ..EQUALS }));
    }
    assert_eq!(why(&judge).unwrap().metric, "errors");
}

#[test]
fn a_judge_read_back_continues_identically() {
    let (mut judge, mut dice) = (Judge::new(&JudgeSettings::default()), dice(13));
    let looks: Vec<Look> = (1..=120).map(|second| dice.look(second, EQUALS)).collect();
    looks[..60].iter().for_each(|look| judge.observe(look));
    let text = serde_json::to_string(&judge).unwrap();
    assert!(text.len() < 100_000, "{} bytes", text.len());
    let mut read_back: Judge = serde_json::from_str(&text).unwrap();
    for look in &looks[60..] {
        judge.observe(look);
        read_back.observe(look);
    }
    assert_eq!(judge, read_back);
    assert_eq!(judge.evidence(), read_back.evidence());
}

#[test]
fn strata_without_end_are_put_together() {
    let mut judge = Judge::new(&JudgeSettings::default());
    for second in 1..=100 {
        let name = |n: i64| StratumCounts {
            stratum: format!("r{n}"),
            stable: Counts { requests: 50, failures: 1, ..Counts::default() },
            canary: Counts { requests: 5, failures: 1, ..Counts::default() },
        };
        let strata = (second * 10..second * 10 + 10).map(name).collect();
        judge.observe(&Look { at_ms: second * 1_000, strata, ..Look::default() });
    }
    assert!(judge.references.len() <= MAX_STRATA + 1);
    assert!(serde_json::to_string(&judge).unwrap().len() < 1_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_strata_is_irrelevant(seed in any::<u64>(), errors in 0.0f64..0.2) {
        let mut dice = dice(seed);
        let (mut one, mut other) = (Judge::new(&JudgeSettings::default()), Judge::new(&JudgeSettings::default()));
        for second in 1..=60 {
            let mut look = dice.look(second, Stream { canary_errors: errors, ..EQUALS });
            one.observe(&look);
            look.strata.reverse();
            other.observe(&look);
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn one_more_failure_never_speaks_for_the_canary(
        canary in 1u64..50, stable in 1u64..500, bad in 0.0f64..1.0, share in 0.0f64..1.0,
    ) {
        let canary_bad = ((canary - 1) as f64 * bad) as u64;
        let stable_bad = (stable as f64 * share) as u64;
        let evidence = |canary_bad: u64| {
            let mut contest = Contest::new(1.25, 2.0);
            let split = hypergeometric::Split { canary, canary_bad, stable, stable_bad };
            contest.take(&[("r", split)]);
            let (grid, odds) = contest.parts();
            (odds.log_e_worse(), -odds.log_e_within(grid, grid.at_most(2.0)))
        };
        let (less, more) = (evidence(canary_bad), evidence(canary_bad + 1));
        prop_assert!(more.0 >= less.0 - 1e-9, "against: {} then {}", less.0, more.0);
        prop_assert!(more.1 >= less.1 - 1e-9, "for: {} then {}", -less.1, -more.1);
    }

    #[test]
    fn no_look_makes_the_judge_panic(
        counts in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<i32>()), 0..12),
        step in any::<i64>(),
    ) {
        let mut judge = Judge::new(&JudgeSettings { warm_up_ms: 0, ..JudgeSettings::default() });
        for (at, (a, b, c, d, index)) in counts.iter().enumerate() {
            let latency = protocol::latency::Latency { buckets: vec![(*index, *c)], ..Default::default() };
            let side = |n, bad| Counts { requests: n, failures: bad, hard_failures: bad, latency: latency.clone() };
            let stratum = StratumCounts { stratum: format!("{}", a % 3), stable: side(*a, *b), canary: side(*c, *d) };
            let at_ms = (at as i64).saturating_mul(step);
            judge.observe(&Look { at_ms, strata: vec![stratum], ..Look::default() });
            let (_, _) = (judge.verdict(), judge.evidence());
        }
        prop_assert!(serde_json::to_string(&judge).is_ok());
    }
}

/// Looks at equals every second for half an hour of traffic and stops at the first look that condemns them: the
/// share of condemned ones must not lie above `1/rollback_e`, within Poisson's bands.
#[test]
fn stopping_at_will_condemns_equals_no_more_often_than_promised() {
    let (rollback_e, runs) = (20.0, 400u64);
    let mut condemned = 0u64;
    for seed in 0..runs {
        let (mut contest, mut dice) = (Contest::new(1.25, 2.0), dice(seed));
        for _ in 0..400 {
            let mut split = |stable: f64, canary: f64| {
                let (n, m) = (dice.poisson(stable), dice.poisson(canary));
                let mut bad = |n: u64, p: f64| (0..n).filter(|_| dice.0.f64() < p).count() as u64;
                // The canary's odds are 1.25 times the stable version's: the edge of the tolerance.
                hypergeometric::Split {
                    canary: m,
                    canary_bad: bad(m, 0.0588),
                    stable: n,
                    stable_bad: bad(n, 0.0476),
                }
            };
            let looks = [("a", split(60.0, 8.0)), ("b", split(20.0, 4.0))];
            contest.take(&looks);
            if contest.log_e_worse() >= f64::ln(rollback_e) {
                condemned += 1;
                break;
            }
        }
    }
    // Poisson with mean runs/rollback_e = 20: more than 34 in one of a thousand.
    assert!(condemned <= 34, "{condemned} of {runs}");
}
