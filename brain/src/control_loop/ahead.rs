//! Ahead of load that is forecast: proposed like anything else, and let go when the load is past or does not come.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::action::ActionKind;

use super::ControlLoop;
use crate::action::operation::Operation;
use crate::decision::{Advice, advise_ahead, canary_of, surge_is_past};
use crate::domain::{Cause, CauseKind, Evidence, Signal, TickOutput, Verdict};
use crate::forecast::{Forecast, HORIZON};
use crate::guard::capacity::proxies_of;
use crate::guard::{deciding, target};

/// What is provided for a surge is held at least as long as forecasts reach, milliseconds.
const LEAST_HOLD_MS: i64 = HORIZON as i64 * 60_000;
/// Between two looks at a forecast of which nothing has come yet, milliseconds.
const LOOK_AGAIN_MS: i64 = 5_000;

/// What is known of the load to come, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Whether anybody can be asked for replicas.
    pub(super) may_scale: bool,
    forecasts: Arc<Vec<Forecast>>,
    /// By service: of when the forecast is that was looked at last, and when it is to be looked at again.
    seen: BTreeMap<String, (i64, i64)>,
    /// By service: when something was proposed last, and what the guard thought of it.
    said: BTreeMap<String, (i64, String)>,
}

impl ControlLoop {
    /// Whether somebody can be asked for replicas.
    pub fn may_scale(&mut self, may: bool) {
        self.ahead.may_scale = may;
    }

    /// The load to come as it was told last, from the next tick on.
    pub fn foresee(&mut self, forecasts: Arc<Vec<Forecast>>) {
        self.ahead.forecasts = forecasts;
    }

    /// Looks at each forecast as soon as a proxy has told what there is of the service, and now and then again, for what
    /// is known of its endpoints may come later than the forecast, until something is advised.
    pub(super) fn look_ahead(&mut self, out: &mut TickOutput) {
        self.let_go_of_what_is_past(out);
        let forecasts = Arc::clone(&self.ahead.forecasts);
        for forecast in forecasts.iter() {
            let looked = self.ahead.seen.get(&forecast.service);
            let seen =
                looked.is_some_and(|(at_ms, again_ms)| *at_ms == forecast.at_ms && self.now_ms < *again_ms);
            if seen || proxies_of(&self.fleet, &forecast.service).is_empty() {
                continue;
            }
            let now = self.circumstances(&forecast.service);
            let advice = advise_ahead(forecast, &self.policies.rules, &now, &self.learned);
            let again_ms = if advice.is_some() { i64::MAX } else { self.now_ms + LOOK_AGAIN_MS };
            self.ahead.seen.insert(forecast.service.clone(), (forecast.at_ms, again_ms));
            if let Some(advice) = advice {
                self.provide(advice, out);
            }
        }
    }

    fn provide(&mut self, advice: Advice, out: &mut TickOutput) {
        let service = advice.action.service.clone();
        if self.ledger.holds(&advice.action) || self.desk.waits_for(&target(&advice.action)) {
            return;
        }
        let mut proposal = self.draft(None, advice);
        let judgement = self.judge(&proposal, None);
        let outcome = format!("{:?} {}", judgement.verdict, deciding(&judgement));
        let patience_ms = i64::from(self.policies.guard.proposal_expires_s) * 1_000;
        let said = self.ahead.said.get(&service);
        let said = said.is_some_and(|(at_ms, before)| {
            *before == outcome && self.now_ms - at_ms < patience_ms && judgement.verdict != Verdict::Allow
        });
        if said {
            return;
        }
        self.ahead.said.insert(service, (self.now_ms, outcome));
        proposal.id = self.desk.next_id();
        self.settle(proposal, judgement, out);
    }

    /// What is provided is held while a forecast stands behind it; else no longer than anything else.
    fn let_go_of_what_is_past(&mut self, out: &mut TickOutput) {
        let over = |o: &Operation| self.is_over(o).map(|why| (o.id.clone(), why));
        let provided = self.operations.iter().filter(|o| self.is_provision(o));
        let over: Vec<_> = provided.filter_map(over).collect();
        let me = self.me();
        for (id, why) in over {
            self.withdraw(&me, why, |o| o.id == id, out);
        }
    }

    fn surge_behind(&self, operation: &Operation) -> Option<&Evidence> {
        let proposal = self.desk.get(&operation.proposal)?;
        proposal.evidence.iter().find(|e| e.signal == Signal::Forecast)
    }

    fn is_provision(&self, operation: &Operation) -> bool {
        matches!(operation.action.kind, ActionKind::Scale { .. }) || self.surge_behind(operation).is_some()
    }

    /// Whether something else sets the weights of the same endpoints, or is about to.
    fn is_in_the_way(&self, operation: &Operation) -> bool {
        let service = &operation.action.service;
        let is_sick = |cause: &Cause| matches!(cause.kind, CauseKind::BadEndpoint | CauseKind::BadVersion);
        let mut others = self.ledger.live_on(service).into_iter().filter(|(id, _)| *id != operation.id);
        self.book.blamed_on(service).any(is_sick)
            || canary_of(&self.fleet, service).is_some()
            || others.any(|(_, other)| matches!(other.kind, ActionKind::SetWeights { .. }))
    }

    fn is_over(&self, operation: &Operation) -> Option<&'static str> {
        let held_ms = self.now_ms - operation.started_ms;
        let service = &operation.action.service;
        let weights = matches!(operation.action.kind, ActionKind::SetWeights { .. });
        if weights && self.is_in_the_way(operation) {
            return Some("something else there is more urgent");
        }
        let told = self.ahead.forecasts.iter().find(|f| f.service == *service);
        let past = self
            .surge_behind(operation)
            .zip(told)
            .and_then(|(e, told)| surge_is_past(told, e.baseline, self.now_ms));
        let longest_ms = i64::from(self.policies.guard.lifecycle.max_hold_s) * 1_000;
        match past {
            Some(true) if held_ms >= LEAST_HOLD_MS => Some("the load that was forecast is past"),
            None if held_ms >= longest_ms => Some("held as long as may be"),
            _ => None,
        }
    }
}
