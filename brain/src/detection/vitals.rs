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
/// The place of [`Sign::Rate`] in a row.
const RATE: usize = Sign::Rate as usize;

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

/// How many times the usual requests come: so many times as many are in flight, if each takes as long as ever (Little, 1961).
fn surge(row: &Row, usual_rps: f64) -> f64 {
    (row.seen[RATE] / usual_rps.max(f64::MIN_POSITIVE)).max(1.0)
}

/// The sign that leads, where it is worse than usual by as much as somebody may want to know.
fn evidence(name: &str, row: &Row, departure: &Departure, vitals: &Vitals, since: i64) -> Option<Anomaly> {
    let signs = Sign::ALL.into_iter().zip(row.seen).zip(&departure.own).enumerate();
    let bad = signs.filter(|(_, ((sign, _), _))| *sign != Sign::Rate);
    let (n, ((sign, observed), own)) = bad.max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b))?;
    let usual = |n: usize| Sign::ALL[n].unscaled(vitals.pattern.usual(n));
    let (baseline, worse) = match sign {
        Sign::InFlight => {
            let expected = usual(n) * surge(row, usual(RATE));
            (expected, observed >= expected * WORSE_FACTOR && observed - expected >= WORSE_COUNT)
        }
        _ => (usual(n), observed - usual(n) >= WORSE_SHARE),
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
mod tests;
