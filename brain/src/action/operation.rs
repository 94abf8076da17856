//! One remedy from the first lease to the last: apply, verify, hold, probe, give back.

use std::collections::BTreeSet;

use protocol::telemetry::Window;

use super::waves::Wave;

use crate::domain::{Cause, CauseKind, ProposedAction};
use crate::verification::{Meter, Part, Scope, Yardstick};

/// Where a remedy stands.
#[derive(Debug, Clone)]
pub enum Stage {
    /// The proxies are asked.
    Applying,
    /// The effect is measured.
    Verifying(Meter),
    /// It works; the next probe is due at this time.
    Holding {
        /// Milliseconds since the epoch.
        probe_at_ms: i64,
        /// What the treated part does in the last seconds before.
        meter: Meter,
    },
    /// The probe's lease is put; the main one is still there (make before break).
    OpeningProbe {
        /// The probe's action.
        probe: String,
    },
    /// The treated part gets a little traffic, or a service is shed less.
    Probing {
        /// What it does with it.
        meter: Meter,
        /// Since when.
        since_ms: i64,
    },
    /// The probe failed: the new lease is put, the probe's is still there.
    ClosingProbe {
        /// The new main action.
        again: String,
    },
    /// Everything is given back; watched until then.
    Returned {
        /// Milliseconds since the epoch.
        until_ms: i64,
    },
    /// Over.
    Over,
}

/// One remedy.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The first action's id, and the ledger's.
    pub id: String,
    /// The proposal that asked for it.
    pub proposal: String,
    /// The incident it answers.
    pub incident: Option<String>,
    /// What is done.
    pub action: ProposedAction,
    /// Probability that it helps.
    pub confidence: f64,
    /// Why, for people.
    pub reason: String,
    /// Who stands behind it.
    pub issued_by: String,
    /// The action whose lease is live now.
    pub current: String,
    /// Where it stands.
    pub stage: Stage,
    /// The cause it answers, as it was named then.
    pub cause: Option<Cause>,
    /// What of the service is treated.
    pub part: Part,
    /// What it is judged by.
    pub yard: Yardstick,
    /// What counts as slow.
    pub slow_index: i32,
    /// Proxies that are to get it after those that have it, wave by wave.
    pub waves: Vec<Wave>,
    /// The proxies that have it, or are asked to.
    pub treated: BTreeSet<String>,
    /// When it began.
    pub started_ms: i64,
    /// Probes that failed.
    pub failed_probes: u32,
}

impl Operation {
    /// Whether its reason is another one by now: the incident's cause turned out not to be what it treats.
    #[must_use]
    pub fn is_mistaken(&self, cause: &Cause) -> bool {
        let Some(before) = &self.cause else { return false };
        match before.kind {
            CauseKind::BadVersion => cause.kind != before.kind || cause.version != before.version,
            kind => cause.kind != kind,
        }
    }

    /// What a meter of it counts: the proxies that have it apart from the others.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            service: self.action.service.clone(),
            part: self.part.clone(),
            slow_index: self.slow_index,
            treated: Some(self.treated.clone()),
        }
    }

    /// Seconds to the next probe: doubled with each failed one.
    #[must_use]
    pub fn probe_delay_ms(&self, first_s: u32, most_s: u32) -> i64 {
        let delay_s = i64::from(first_s) << self.failed_probes.min(12);
        delay_s.min(i64::from(most_s)) * 1_000
    }

    /// Whether a probe runs, begins or ends.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(self.stage, Stage::OpeningProbe { .. } | Stage::Probing { .. } | Stage::ClosingProbe { .. })
    }

    /// Counts a window in, when something is being measured.
    pub fn observe(&mut self, window: &Window) {
        match &mut self.stage {
            Stage::Verifying(meter) | Stage::Holding { meter, .. } | Stage::Probing { meter, .. } => {
                meter.observe(window);
            }
            _ => {}
        }
    }
}
