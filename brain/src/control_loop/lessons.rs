//! What a turn teaches: measured effects, and what people say of what the brain wants.

use std::collections::BTreeSet;

use super::ControlLoop;
use crate::action::operation::Stage;
use crate::domain::{EffectKind, Event, Mode, ProposedAction, TickOutput};
use crate::policies::KindMode;

impl ControlLoop {
    /// Learns from the effects that were told in this turn, says what they earn or cost a kind, and forgets the
    /// remedies that are over.
    pub(super) fn learn(&mut self, out: &mut TickOutput) {
        if !self.options.open_loop {
            self.learn_from_effects(out);
        }
        self.operations.retain(|o| !matches!(o.stage, Stage::Over));
    }

    fn learn_from_effects(&mut self, out: &mut TickOutput) {
        let mut changed = Vec::new();
        for (_, event) in &out.events {
            let Event::Effect { action, effect } = event else { continue };
            // The cause as it was named then: harm makes it look like another one.
            let operation = self.operations.iter().find(|o| o.proposal == action.proposal);
            let cause = operation.filter(|o| o.incident.is_some()).and_then(|o| o.cause.as_ref());
            let Some(cause) = cause.map(|cause| cause.kind) else { continue };
            let kind = action.action.kind.name();
            let before = self.earned(kind);
            self.learned.effect(kind, cause, effect.kind, self.desk.said(&action.proposal));
            if let Some(proposal) = self.desk.get_mut(&action.proposal) {
                self.learned.outcome(proposal, cause, effect.kind);
            }
            if effect.kind == EffectKind::Harmed {
                let until_ms = self.now_ms + i64::from(self.policies.guard.demote_s) * 1_000;
                self.learned.demote(kind, until_ms);
                changed.push((kind, Mode::Advisory, format!("it did harm: {}", effect.why)));
            } else if !before && self.earned(kind) {
                changed.push((kind, Mode::Autonomous, "its record is good enough".to_owned()));
            }
        }
        let me = self.me();
        for (kind, mode, why) in changed {
            out.events.push((me.clone(), Event::Autonomy { kind: kind.to_owned(), mode, why }));
        }
    }

    /// A person said yes or no to what the brain wants about an incident.
    pub(super) fn heard(&mut self, action: &ProposedAction, incident: Option<&str>, yes: bool) {
        let cause = incident.and_then(|id| self.book.case(id)).map(|case| case.incident.cause.kind);
        if let Some(cause) = cause.filter(|_| !self.options.open_loop) {
            self.learned.answered(action.kind.name(), cause, yes);
        }
    }

    fn earned(&self, kind: &str) -> bool {
        let guard = &self.policies.guard;
        let earns = guard.kind(kind).mode == KindMode::Earn;
        !earns || self.learned.earned(kind, &guard.autonomy).enough
    }

    /// How many lessons were learned: more of them is something to keep at once.
    #[must_use]
    pub fn lessons(&self) -> u64 {
        self.learned.lessons()
    }

    /// The kinds that an earlier life was demoted for still only advise.
    pub(super) fn still_demoted(&mut self, now_ms: i64) {
        let demoted: BTreeSet<(String, i64)> = self.learned.demoted(now_ms).into_iter().collect();
        demoted.into_iter().for_each(|(kind, until_ms)| self.ledger.demote(&kind, until_ms));
    }
}
