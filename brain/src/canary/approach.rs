//! How a canary comes nearer to its promotion: on the evidence, never by the clock alone.
//!
//! The share that a canary may have grows with the evidence for it ([`super::judge::Judge::verdict_for`]): harm to
//! users is the product of the share and of what the evidence does not exclude yet, and stays even.

use super::gates::Passage;
use super::judge::Verdict;
use super::{Approval, Canary, GateMoment, Hold, HoldKind, Pause, Phase, Sight, Strategy};

/// Who moves it when nobody else does.
pub(super) const BRAIN: &str = "brain";
/// Without a complete second for so long telemetry is missing, milliseconds.
const GAP_MS: i64 = 10_000;
/// Without a request for so long there is no traffic, milliseconds.
const QUIET_MS: i64 = 30_000;
/// So long all endpoints must be down before that is the end, milliseconds.
const DOWN_MS: i64 = 3_000;

impl Canary {
    /// Counts what was seen.
    pub(super) fn take_in(&mut self, sight: &Sight) {
        self.watch_endpoints(sight);
        if self.phase == Phase::Pending {
            sight.looks.iter().for_each(|look| self.listen(look));
        }
        if !self.is_trying() {
            return;
        }
        for look in &sight.looks {
            self.looked_to_ms = self.looked_to_ms.max(look.at_ms);
            let here: u64 = look.strata.iter().map(|s| s.canary.requests).sum();
            if here > 0 {
                self.last_request_ms = look.at_ms;
            }
            self.record.count(look);
            if self.phase != Phase::Promoting {
                let mut look = self.beside_before(look.clone());
                look.canary_endpoints = u32::try_from(sight.fleet.canary.endpoints.len()).unwrap_or(u32::MAX);
                look.restarts = self.crashes;
                look.readings.append(&mut self.readings);
                self.judge.observe(&look);
            }
        }
    }

    fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::Step | Phase::Paused | Phase::Promoting)
    }

    /// An endpoint that was well and is not has crashed, as far as active checks can tell.
    fn watch_endpoints(&mut self, sight: &Sight) {
        let endpoints = &sight.fleet.canary.endpoints;
        let fell = self.well.iter().filter(|name| endpoints.get(*name) == Some(&false)).count();
        self.crashes = self.crashes.saturating_add(u32::try_from(fell).unwrap_or(u32::MAX));
        self.well = endpoints.iter().filter(|(_, well)| **well).map(|(name, _)| name.clone()).collect();
        let down = sight.fleet.canary.is_down();
        self.down_since_ms = down.then(|| self.down_since_ms.unwrap_or(sight.now_ms));
    }

    /// What ends it at once, whatever else is.
    fn fatal(&self, sight: &Sight) -> Option<String> {
        let version = &self.spec.canary;
        if self.down_since_ms.is_some_and(|ms| sight.now_ms - ms >= DOWN_MS) {
            return Some(format!("no endpoint of {version} passes its health check"));
        }
        if !sight.fleet.proxies.is_empty() && sight.fleet.canary.endpoints.is_empty() {
            return Some(format!("{version} has no endpoint any more"));
        }
        let trouble = sight.trouble.as_ref().filter(|trouble| trouble.by_canary)?;
        Some(format!("{}: {}", trouble.incident, trouble.summary))
    }

    pub(super) fn begin(&mut self, sight: &Sight) {
        if let Some(trouble) = &sight.trouble {
            return self.pause_for(&trouble.incident.clone(), &trouble.summary.clone());
        }
        let waited_ms = sight.now_ms - self.created_ms;
        if let Some(hold) = self.not_ready(sight) {
            if waited_ms > self.deadline_ms() {
                return self.back(Phase::Undecided, format!("it could not begin: {}", hold.why), BRAIN);
            }
            self.hold = Some(hold);
            return;
        }
        match self.passage(GateMoment::ConfirmStart, "start") {
            Passage::Free => {}
            Passage::Ends(why) => return self.back(Phase::RolledBack, why, BRAIN),
            Passage::Waits(hold) if waited_ms > self.deadline_ms() => {
                return self.back(Phase::Undecided, format!("it could not begin: {}", hold.why), BRAIN);
            }
            Passage::Waits(hold) => return self.hold = Some(hold),
        }
        self.has_begun = true;
        self.last_request_ms = sight.now_ms;
        let first = self.spec.weights().first().copied().unwrap_or(0);
        self.step = 0;
        self.go(Phase::Step, format!("begins with {first} %"), BRAIN);
    }

    fn not_ready(&self, sight: &Sight) -> Option<Hold> {
        let hold = |kind, why: String| Some(Hold { kind, why });
        if let Some(why) = sight.stopped {
            return hold(HoldKind::Frozen, why.to_owned());
        }
        if sight.fleet.proxies.is_empty() {
            return hold(HoldKind::Proxies, format!("no proxy that serves {} answers", self.spec.service));
        }
        if let Some(lacking) = sight.fleet.lacking.first() {
            return hold(HoldKind::Proxies, lacking.clone());
        }
        if sight.fleet.canary.is_down() {
            let why = format!("no endpoint of {} passes its health check", self.spec.canary);
            return hold(HoldKind::Proxies, why);
        }
        let first = self.spec.weights().first().copied().unwrap_or(0);
        self.unbearable(first, sight).or_else(|| self.listens())
    }

    fn unbearable(&self, weight: u32, sight: &Sight) -> Option<Hold> {
        let bearable = sight.fleet.bearable_weight(sight.min_capacity);
        (weight > bearable).then(|| Hold {
            kind: HoldKind::Capacity,
            why: format!(
                "{} has endpoints for at most {bearable} % of the traffic, {weight} % would be next: give it more",
                self.spec.canary
            ),
        })
    }

    pub(super) fn on_step(&mut self, sight: &Sight, elapsed_ms: i64) {
        if let Some(why) = self.fatal(sight) {
            return self.back(Phase::RolledBack, why, BRAIN);
        }
        if let Verdict::Bad { why } = self.judge.verdict() {
            return self.back(Phase::RolledBack, why.text.clone(), BRAIN);
        }
        if let Some(trouble) = &sight.trouble {
            return self.pause_for(&trouble.incident.clone(), &trouble.summary.clone());
        }
        self.notice_force(sight);
        let hold = self.obstacle(sight).or_else(|| self.not_yet(sight));
        if hold.as_ref().is_none_or(|hold| hold.kind.counts()) {
            self.judged_ms += elapsed_ms;
        }
        if hold.is_some() && self.judged_ms > self.deadline_ms() {
            let why = hold.map(|hold| hold.why).unwrap_or_default();
            let spent_s = self.judged_ms / 1_000;
            return self.back(Phase::Undecided, format!("no verdict after {spent_s} s: {why}"), BRAIN);
        }
        match hold {
            Some(hold) => self.hold = Some(hold),
            None => self.at_the_gates(),
        }
    }

    /// A share counts from when the proxies hold it, and again from when they hold it again.
    fn notice_force(&mut self, sight: &Sight) {
        if sight.held != self.wanted() {
            self.in_force_ms = None;
        } else if self.in_force_ms.is_none() {
            self.in_force_ms = Some(sight.now_ms);
            if self.laid != Some(self.step) {
                self.laid = Some(self.step);
                self.judge.begin_step();
            }
        }
    }

    /// Everything else agrees: what do the gates say?
    fn at_the_gates(&mut self) {
        if !self.spec.promotes() {
            return self.finish();
        }
        let next = self.step + 1;
        let passage = if next < self.spec.weights().len() {
            self.passage(GateMoment::BeforeStep, &format!("step {}", next + 1))
        } else {
            self.passage(GateMoment::ConfirmPromotion, "promotion")
        };
        match passage {
            Passage::Free => self.next(),
            Passage::Ends(why) => self.back(Phase::RolledBack, why, BRAIN),
            Passage::Waits(hold) => self.hold = Some(hold),
        }
    }

    /// Prolonged while the judge still learns.
    fn deadline_ms(&self) -> i64 {
        let longest_ms = i64::from(self.spec.max_duration_s) * 1_000;
        let more_ms = self.spec.extension_s.map_or(longest_ms / 2, |s| i64::from(s) * 1_000);
        let learns = matches!(self.judge.verdict(), Verdict::Undecided { needs_requests: Some(_) });
        if learns { longest_ms + more_ms } else { longest_ms }
    }

    /// Why nothing can be judged.
    fn obstacle(&self, sight: &Sight) -> Option<Hold> {
        let hold = |kind, why: String| Some(Hold { kind, why });
        if let Some(why) = sight.stopped {
            return hold(HoldKind::Frozen, why.to_owned());
        }
        if let Some(why) = &sight.refused {
            return hold(HoldKind::Proxies, format!("a proxy refuses: {why}"));
        }
        let Some(in_force_ms) = self.in_force_ms else {
            return hold(HoldKind::Proxies, "the proxies are asked".to_owned());
        };
        let silent_ms = sight.now_ms - sight.seen_to_ms.max(in_force_ms);
        if silent_ms > GAP_MS {
            return hold(HoldKind::Telemetry, format!("no telemetry for {} s", silent_ms / 1_000));
        }
        let quiet_ms = sight.now_ms - self.last_request_ms.max(in_force_ms);
        if quiet_ms > QUIET_MS {
            let (version, quiet_s) = (&self.spec.canary, quiet_ms / 1_000);
            return hold(HoldKind::Traffic, format!("no request came to {version} for {quiet_s} s"));
        }
        None
    }

    /// Why the next step is not due.
    fn not_yet(&self, sight: &Sight) -> Option<Hold> {
        let baked_ms = self.in_force_ms.map_or(0, |ms| sight.now_ms - ms);
        let left_ms = i64::from(self.spec.min_bake_s) * 1_000 - baked_ms;
        if left_ms > 0 {
            let why =
                format!("at least {} s on each step, {} s more", self.spec.min_bake_s, left_ms / 1_000 + 1);
            return Some(Hold { kind: HoldKind::Bake, why });
        }
        let next = self.spec.weights().get(self.step + 1).copied();
        if self.spec.strategy == Strategy::Ab {
            let left_s = i64::from(self.spec.max_duration_s) - self.judged_ms / 1_000;
            let why = format!("reads out in {left_s} s");
            return (left_s > 0).then_some(Hold { kind: HoldKind::Bake, why });
        }
        if let Verdict::Undecided { needs_requests } = self.judge.verdict_for(f64::from(next.unwrap_or(100)))
        {
            return Some(Hold { kind: HoldKind::Evidence, why: self.forecast(next, needs_requests) });
        }
        if self.spec.strategy == Strategy::Mirror {
            return None;
        }
        let bearable = match next {
            Some(weight) => self.unbearable(weight, sight),
            None if sight.fleet.can_carry_all(sight.min_capacity) => None,
            None => self.unbearable(100, sight),
        };
        bearable.or_else(|| self.unapproved(next))
    }

    fn unapproved(&self, next: Option<u32>) -> Option<Hold> {
        let agreed = self.approved > self.step;
        let hold = |why: String| (!agreed).then_some(Hold { kind: HoldKind::Approval, why });
        match (next, self.spec.approval) {
            (Some(weight), Approval::Steps) => {
                hold(format!("a person must agree to {weight} %: resume {}", self.id))
            }
            (Some(_), _) => None,
            (None, _) if self.spec.promotes_itself() => None,
            (None, _) => hold(format!("a person must agree to the promotion: promote {}", self.id)),
        }
    }

    /// How much of the evidence that a promotion needs is there, 0 to 1.
    #[must_use]
    pub fn evidence_share(&self) -> f64 {
        let seen = self.record.totals.canary as f64;
        match self.judge.verdict() {
            Verdict::Good => 1.0,
            Verdict::Undecided { needs_requests: Some(needs) } => seen / (seen + needs as f64).max(1.0),
            _ => 0.0,
        }
    }

    /// `needs ~1,400 more requests, ~6 min at this rate`.
    fn forecast(&self, next: Option<u32>, needs: Option<u64>) -> String {
        let Some(missing) = needs.map(|needs| needs.max(1) as f64) else {
            return "the judge cannot say yet how many requests it needs".to_owned();
        };
        let what = next.map_or_else(|| "the promotion".to_owned(), |weight| format!("{weight} %"));
        let rate = self.record.rate_rps;
        if rate < 0.01 {
            return format!("{what} needs ~{missing} more requests, and hardly any come");
        }
        let seconds = missing / rate;
        let span =
            if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) };
        format!("{what} needs ~{missing} more requests, ~{span} at this rate")
    }

    fn next(&mut self) {
        let seen = self.record.totals.canary;
        let Some(weight) = self.spec.weights().get(self.step + 1).copied() else {
            let why = format!("no worse than {} by {seen} requests", self.spec.stable);
            return self.go(Phase::Promoting, why, BRAIN);
        };
        self.step += 1;
        let why = format!("{weight} %: no worse than that share allows by {seen} requests");
        self.go(Phase::Step, why, BRAIN);
    }

    fn pause_for(&mut self, incident: &str, summary: &str) {
        self.pause = Some(Pause { from: self.phase, incident: Some(incident.to_owned()) });
        self.go(Phase::Paused, format!("{incident} is open: {summary}"), BRAIN);
    }

    /// What an incident paused goes on when it is over. A pause holds the promotion, not the protection:
    /// both versions are still compared in the same seconds.
    pub(super) fn paused(&mut self, sight: &Sight) {
        if self.has_begun {
            if let Some(why) = self.fatal(sight) {
                return self.back(Phase::RolledBack, why, BRAIN);
            }
            if let Verdict::Bad { why } = self.judge.verdict() {
                return self.back(Phase::RolledBack, why.text, BRAIN);
            }
        }
        let Some(pause) = &self.pause else { return };
        if pause.incident.is_some() && sight.trouble.is_none() {
            let from = pause.from;
            self.last_request_ms = sight.now_ms;
            self.go(from, "the incident is over".to_owned(), BRAIN);
        }
    }

    pub(super) fn promoting(&mut self, sight: &Sight, elapsed_ms: i64) {
        if let Some(why) = self.fatal(sight) {
            return self.back(Phase::RolledBack, why, BRAIN);
        }
        if sight.held.is_some() && sight.held == self.wanted() {
            return self.go(Phase::Promoted, self.why.clone(), BRAIN);
        }
        let (kind, why) = match (sight.stopped, &sight.refused) {
            (Some(why), _) => (HoldKind::Frozen, why.to_owned()),
            (None, Some(why)) => (HoldKind::Proxies, format!("a proxy refuses: {why}")),
            (None, None) => (HoldKind::Proxies, "the proxies are asked".to_owned()),
        };
        if kind != HoldKind::Frozen {
            self.judged_ms += elapsed_ms;
        }
        if sight.now_ms - self.since_ms > i64::from(self.spec.max_duration_s) * 1_000
            && kind != HoldKind::Frozen
        {
            return self.back(Phase::Undecided, format!("it could not be promoted: {why}"), BRAIN);
        }
        self.hold = Some(Hold { kind, why });
    }

    /// For a while an incident takes a promotion back.
    pub(super) fn after_promotion(&mut self, sight: &Sight) {
        if !self.may_be_taken_back() {
            return;
        }
        if let Some(trouble) = sight.trouble.as_ref().filter(|trouble| trouble.by_canary) {
            let why = format!("{}: {}", trouble.incident, trouble.summary);
            self.back(Phase::RolledBack, why, BRAIN);
        }
    }
}
