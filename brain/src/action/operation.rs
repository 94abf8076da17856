//! One remedy from the first lease to the last: apply, verify, hold, probe, give back.

use protocol::telemetry::Window;

use crate::domain::{ProposedAction, Signal};
use crate::verification::Meter;

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
    },
    /// The probe's lease is put; the main one is still there (make before break).
    OpeningProbe {
        /// The probe's action.
        probe: String,
    },
    /// The endpoint gets a little traffic.
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
    /// What it is judged by.
    pub signal: Signal,
    /// What counts as slow.
    pub slow_index: i32,
    /// Bad share of the service before.
    pub before: f64,
    /// Bad share expected after.
    pub expected: f64,
    /// When it began.
    pub started_ms: i64,
    /// Probes that failed.
    pub failed_probes: u32,
}

impl Operation {
    /// The endpoint it is about.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.action.kind.endpoint().map(protocol::id::EndpointId::as_str)
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
        if let Stage::Verifying(meter) | Stage::Probing { meter, .. } = &mut self.stage {
            meter.observe(window);
        }
    }
}
