//! Why a canary waits: in one word for programs, and for people with the numbers.

use super::judge::Verdict;
use super::{Approval, Canary, Hold, HoldKind, Sight, Strategy};

/// Without a complete second for so long telemetry is missing, milliseconds.
const GAP_MS: i64 = 10_000;
/// Without a request for so long there is no traffic, milliseconds.
const QUIET_MS: i64 = 30_000;

impl Canary {
    pub(super) fn not_ready(&self, sight: &Sight) -> Option<Hold> {
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
        let listens = || self.spec.preview.is_none().then(|| self.listens()).flatten();
        self.unbearable(first, sight).or_else(listens)
    }

    pub(super) fn unbearable(&self, weight: u32, sight: &Sight) -> Option<Hold> {
        let bearable = sight.fleet.bearable_weight(sight.min_capacity);
        (weight > bearable).then(|| Hold {
            kind: HoldKind::Capacity,
            why: format!(
                "{} has endpoints for at most {bearable} % of the traffic, {weight} % would be next: give it more",
                self.spec.canary
            ),
        })
    }

    /// Why nothing can be judged.
    pub(super) fn obstacle(&self, sight: &Sight) -> Option<Hold> {
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
        if self.is_previewed() {
            return None;
        }
        let quiet_ms = sight.now_ms - self.last_request_ms.max(in_force_ms);
        if quiet_ms > QUIET_MS {
            let (version, quiet_s) = (&self.spec.canary, quiet_ms / 1_000);
            let what = if self.spec.strategy == Strategy::Mirror { "copy" } else { "request" };
            return hold(HoldKind::Traffic, format!("no {what} came to {version} for {quiet_s} s"));
        }
        None
    }

    /// Why the next step is not due.
    pub(super) fn not_yet(&self, sight: &Sight) -> Option<Hold> {
        let baked_ms = self.in_force_ms.map_or(0, |ms| sight.now_ms - ms);
        let left_ms = i64::from(self.spec.min_bake_s) * 1_000 - baked_ms;
        if left_ms > 0 {
            let why =
                format!("at least {} s on each step, {} s more", self.spec.min_bake_s, left_ms / 1_000 + 1);
            return Some(Hold { kind: HoldKind::Bake, why });
        }
        let next = self.spec.weights().get(self.step + 1).copied();
        if self.is_previewed() {
            let bearable = || next.and_then(|weight| self.unbearable(weight, sight));
            return self
                .unasked()
                .or_else(|| self.listens())
                .or_else(bearable)
                .or_else(|| self.unapproved(next));
        }
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

    pub(super) fn unapproved(&self, next: Option<u32>) -> Option<Hold> {
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
}
