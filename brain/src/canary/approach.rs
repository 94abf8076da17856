//! How a canary comes nearer to its promotion: on the evidence, never by the clock alone.
//!
//! The share that a canary may have grows with the evidence for it ([`super::judge::Judge::verdict_for`]): harm to
//! users is the product of the share and of what the evidence does not exclude yet, and stays even.

use super::gates::Passage;
use super::judge::Verdict;
use super::{Canary, GateMoment, Hold, HoldKind, Pause, Phase, Sight, Strategy};

/// Who moves it when nobody else does.
pub(super) const BRAIN: &str = "brain";
/// So long all endpoints must be down before that is the end, milliseconds.
const DOWN_MS: i64 = 3_000;

impl Canary {
    /// Counts what was seen.
    pub(super) fn take_in(&mut self, sight: &Sight) {
        self.watch_endpoints(sight);
        if self.listens_now() {
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
            self.record.count(look, self.is_previewed());
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
        let why = match &self.spec.preview {
            Some(preview) => format!("begins with those who ask for it by {}", preview.key),
            None => format!("begins with {first} %"),
        };
        self.go(Phase::Step, why, BRAIN);
    }

    pub(super) fn on_step(&mut self, sight: &Sight, elapsed_ms: i64) {
        if let Some(why) = self.fatal(sight) {
            return self.back(Phase::RolledBack, why, BRAIN);
        }
        if let Verdict::Bad { why } = self.judge.verdict() {
            return self.back(Phase::RolledBack, why.text.clone(), BRAIN);
        }
        if self.overspends() {
            return;
        }
        if let Some(trouble) = &sight.trouble {
            return self.pause_for(&trouble.incident.clone(), &trouble.summary.clone());
        }
        self.notice_force(sight);
        let hold = self.obstacle(sight).or_else(|| self.not_yet(sight));
        if hold.as_ref().is_none_or(|hold| hold.kind.counts()) {
            self.judged_ms += elapsed_ms;
        }
        // An A/B test has its time, and then it is read out.
        let runs = |hold: &Hold| self.spec.strategy == Strategy::Ab && hold.kind == HoldKind::Bake;
        if hold.as_ref().is_some_and(|hold| !runs(hold)) && self.judged_ms > self.deadline_ms() {
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
        let next = self.step + 1;
        let has_next = next < self.spec.weights().len();
        if !has_next && !self.spec.promotes() {
            return self.finish();
        }
        let passage = if has_next {
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

    fn next(&mut self) {
        let seen = self.record.totals.canary;
        let Some(weight) = self.spec.weights().get(self.step + 1).copied() else {
            let why = format!("no worse than {} by {seen} requests", self.spec.stable);
            return self.go(Phase::Promoting, why, BRAIN);
        };
        let why = if self.is_previewed() {
            self.leave_preview();
            format!("{weight} %: {} requests asked for it", self.record.previewed.canary)
        } else {
            format!("{weight} %: no worse than that share allows by {seen} requests")
        };
        self.step += 1;
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
            if self.overspends() {
                return;
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
