use protocol::latency::Latency;
use protocol::telemetry::{Cell, Window};

use super::*;
use crate::detection::{Findings, detect};
use crate::policies::Policies;
use crate::state::sample;

/// A service of 200 requests a second and a little of everything.
struct World {
    mesh: MeshState,
    policy: DetectionPolicy,
    dice: fastrand::Rng,
    second: i64,
}

impl World {
    fn quiet(hours: i64) -> Self {
        let policy = Policies::shipped().unwrap().detection;
        let (mesh, dice) = (MeshState::default(), fastrand::Rng::with_seed(9));
        let mut world = Self { mesh, policy, dice, second: 1_700_000_000 };
        let told = (0..hours * 3_600).filter(|_| !world.next(0.0).departures.is_empty()).count();
        assert_eq!((told, world.mesh.quarantine.total()), (0, 0));
        world
    }

    /// One second in which this share of attempts fails and is made again with success.
    fn next(&mut self, retried: f64) -> Findings {
        let requests = 190 + self.dice.u64(0..20);
        let some = |dice: &mut fastrand::Rng, share: f64| {
            (0..requests).filter(|_| dice.f64() < share).count() as u64
        };
        let (failed, retries) = (some(&mut self.dice, 0.004), some(&mut self.dice, retried));
        let cell = Cell {
            service: "cart".to_owned(),
            endpoint: "10.0.0.1:80".to_owned(),
            caller: "web".to_owned(),
            requests,
            retries,
            status: [("2xx".to_owned(), requests - failed), ("5xx".to_owned(), failed)].into(),
            latency: Latency { buckets: vec![(500, requests)], ..Latency::default() },
            in_flight_max: 3 + self.dice.u64(0..2),
            ..Cell::default()
        };
        let window = Window {
            seq: self.second as u64,
            start_ms: self.second * 1_000,
            cells: vec![cell],
            ..sample::window()
        };
        self.second += 1;
        let now_ms = self.second * 1_000;
        self.mesh.observe(&window, now_ms, &self.policy);
        let found = detect(&mut self.mesh, now_ms, &self.policy, &|_| false);
        self.mesh.settle(now_ms, &self.policy);
        found
    }

    /// After how many seconds something is told, and what.
    fn told(&mut self, retried: f64, within_s: i64) -> Option<(i64, Evidence)> {
        (0..within_s).find_map(|n| Some((n, self.next(retried).departures.first()?.evidence.clone())))
    }
}

#[test]
fn what_retries_hide_from_clients_is_told_within_a_minute_and_taken_for_normal_after_a_quarter_of_an_hour() {
    let mut world = World::quiet(2);
    let (after_s, evidence) = world.told(0.10, 60).unwrap();
    assert!(after_s >= 25, "{after_s}: what is short is no departure");
    assert_eq!(evidence.series, "cart: attempts made again");
    assert!((0.08..0.12).contains(&evidence.observed) && evidence.baseline < 0.01, "{evidence:?}");
    let told = (0..1_800).filter(|_| !world.next(0.10).departures.is_empty()).count();
    assert!((700..1_000).contains(&told), "told for {told} s");
}

#[test]
fn nothing_is_told_before_an_hour_was_seen_nor_of_what_is_little() {
    assert_eq!(World::quiet(0).told(0.10, 600), None);
    assert_eq!(World::quiet(2).told(0.01, 300), None);
}

#[test]
fn it_keeps_silent_while_anything_else_is_odd() {
    let mut world = World::quiet(2);
    for _ in 0..120 {
        world.mesh.odd_second = world.second;
        assert_eq!(world.next(0.10).departures, []);
    }
    let told = world.told(0.10, 240).map(|(after_s, _)| after_s);
    assert!(told.is_some_and(|after_s| (60..120).contains(&after_s)), "{told:?}");
}

/// What is told where requests in flight leave their pattern, at so many times the usual load and this many in flight.
fn told_of_load(times: f64, in_flight: f64) -> Option<Evidence> {
    let usual = Row { seen: [200.0, 0.0, 0.01, 0.0, 0.0, 0.0, 4.0], requests: 2_000 };
    let mut vitals = Vitals::default();
    (0..ENOUGH_ROWS).for_each(|_| vitals.pattern.learn(&usual.scaled()));
    let mut now = usual;
    now.seen[Sign::Rate as usize] *= times;
    now.seen[Sign::InFlight as usize] = in_flight;
    let mut own = vec![0.0; Sign::ALL.len()];
    own[Sign::InFlight as usize] = 10.0;
    evidence("cart", &now, &Departure { ratio: 9.0, nats: 50.0, own }, &vitals, 0)
        .map(|anomaly| anomaly.evidence)
}

#[test]
fn three_times_the_requests_have_three_times_as_many_in_flight_and_nothing_is_wrong_with_that() {
    assert_eq!(told_of_load(3.0, 12.0), None);
    let jam = told_of_load(3.0, 24.0).unwrap();
    assert!((11.9..12.1).contains(&jam.baseline), "{jam:?}");
    assert!(told_of_load(1.0, 12.0).is_some(), "nobody asks more, and yet they pile up");
    assert!(told_of_load(0.5, 12.0).is_some());
}
