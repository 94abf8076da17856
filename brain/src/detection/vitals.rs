//! What no single number shows: a service whose vital signs no longer keep to each other, for half a minute.
//!
//! It speaks last. As long as anything else in the mesh is odd, or was a minute ago, what leaves its pattern follows
//! from that; so does what comes with a deploy or a surge. Silence costs little here, for it tells of what nobody suffers
//! from yet.

use super::{Anomaly, Of};
use crate::domain::{Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::evidence::threshold;
use crate::state::vitals::{BLOCK_S, LASTING, Row, Sign, Vitals};
use crate::state::{Departure, MeshState, Service};

/// Windows of a second may come so late, and later ones than the next row's are not waited for.
const SETTLED_S: i64 = 3;
/// For so long after anything else nothing is said.
const AFTER_OTHERS_S: i64 = 60;
/// An hour of rows: before, there is no pattern to leave.
const ENOUGH_ROWS: u64 = 360;
/// A version younger than this is still settling in, milliseconds.
const YOUNG_MS: i64 = 600_000;
/// What has been so for a quarter of an hour is how it is now: it is learned anew.
const NEW_NORMAL: i64 = 90;
/// The sign that leads must be so far from what the others say of it, standard deviations.
const LEADS_SD: f64 = 4.0;
/// And so much worse than usual that somebody may want to know.
const WORSE_SHARE: f64 = 0.02;
const WORSE_FACTOR: f64 = 1.5;
const WORSE_COUNT: f64 = 2.0;

/// Looks at every service's newest whole row. `restless`: services that something else is said of.
pub(super) fn step(
    mesh: &mut MeshState,
    now_ms: i64,
    restless: &dyn Fn(&str) -> bool,
    policy: &DetectionPolicy,
) -> Vec<Anomaly> {
    let second = mesh.second;
    let calm = mesh.odd_second + AFTER_OTHERS_S < second;
    let mut found = Vec::new();
    let block = (second - SETTLED_S + 1).div_euclid(BLOCK_S) - 1;
    for (name, service) in &mut mesh.services {
        let apart = service.vitals.apart.is_some();
        if !calm || settles(service, now_ms) || (restless(name) && !apart) {
            service.vitals.rest(block);
            continue;
        }
        found.extend(look(name, service, block, policy));
    }
    found
}

/// Whether a version has just come.
fn settles(service: &Service, now_ms: i64) -> bool {
    service.versions.len() > 1 && service.versions.values().any(|v| now_ms - v.first_ms < YOUNG_MS)
}

fn look(name: &str, service: &mut Service, block: i64, policy: &DetectionPolicy) -> Option<Anomaly> {
    let new = block > service.vitals.block;
    if !new && service.vitals.apart.is_none() {
        return None;
    }
    let row = service.signs(block)?;
    let vitals = &mut service.vitals;
    let scaled = row.scaled();
    let departure = vitals.pattern.departure(&scaled);
    if new {
        let needed = threshold(policy.alarms_per_service_week, 1, policy.safety_nats);
        let asked = vitals.tail.level(policy.alarms_per_service_week).unwrap_or(0.0).max(needed);
        let nats = departure.as_ref().map_or(0.0, |departure| departure.nats);
        vitals.take(block, nats, asked);
        // Nor does what may be the first of something teach how it always was.
        if vitals.apart.is_none() && nats < asked {
            vitals.pattern.learn(&scaled);
        }
    }
    let (since, departure) = (vitals.apart?, departure?);
    evidence(name, &row, &departure, vitals, since)
}

impl Vitals {
    /// Nothing is looked at now.
    fn rest(&mut self, block: i64) {
        self.block = block;
        self.lately.clear();
        self.apart = None;
    }

    /// One more row has been looked at: from when on there is something to tell.
    fn take(&mut self, block: i64, nats: f64, asked: f64) {
        if block != self.block + 1 {
            self.lately.clear();
        }
        self.block = block;
        self.lately.push(nats);
        if self.lately.len() > LASTING {
            self.lately.remove(0);
        }
        let whole = self.lately.len() == LASTING && self.pattern.rows() >= ENOUGH_ROWS;
        let least = if whole { self.lately.iter().copied().fold(f64::INFINITY, f64::min) } else { 0.0 };
        // Once told it is over only when it is well below.
        let stands = least >= if self.apart.is_some() { asked / 2.0 } else { asked };
        self.tail.watch(block * BLOCK_S, least, stands);
        match self.apart {
            _ if !stands => self.apart = None,
            None => self.apart = Some(block - LASTING as i64 + 1),
            Some(since) if block - since > NEW_NORMAL => *self = Self::default(),
            Some(_) => {}
        }
    }
}

/// The sign that leads, where it is worse than usual by as much as somebody may want to know.
fn evidence(name: &str, row: &Row, departure: &Departure, vitals: &Vitals, since: i64) -> Option<Anomaly> {
    let signs = Sign::ALL.into_iter().zip(row.seen).zip(&departure.own).enumerate();
    let bad = signs.filter(|(_, ((sign, _), _))| *sign != Sign::Rate);
    let (n, ((sign, observed), own)) = bad.max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b))?;
    let baseline = sign.unscaled(vitals.pattern.usual(n));
    let worse = match sign {
        Sign::InFlight => observed >= baseline * WORSE_FACTOR && observed - baseline >= WORSE_COUNT,
        _ => observed - baseline >= WORSE_SHARE,
    };
    (worse && *own >= LEADS_SD).then(|| Anomaly {
        service: name.to_owned(),
        of: Of::Whole,
        gross: false,
        evidence: Evidence {
            signal: Signal::Vitals,
            series: format!("{name}: {}", sign.name()),
            observed,
            baseline,
            requests: row.requests,
            window_s: (BLOCK_S * LASTING as i64) as u32,
            since_ms: since * BLOCK_S * 1_000,
            log_e: vitals.lately.iter().copied().fold(f64::INFINITY, f64::min),
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
    fn what_retries_hide_from_clients_is_told_within_a_minute_and_taken_for_normal_after_a_quarter_of_an_hour()
     {
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
}
