//! `guard.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::calendar::FreezeWindow;
use super::{Findings, out_of_range};
use crate::domain::Mode;

/// Every kind of action there is: `ActionKind::name` and `scale`.
const KINDS: [&str; 14] = [
    "set_weights",
    "eject_endpoint",
    "trip_breaker",
    "reset_breaker",
    "block_ips",
    "limit_rate",
    "shed_load",
    "set_timeout",
    "set_retry_budget",
    "set_algorithm",
    "set_canary_weight",
    "promote_canary",
    "rollback_canary",
    "scale",
];

/// What may be done without asking.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardPolicy {
    /// Of this format; 1.
    pub version: u32,
    /// By kind of action; a kind that is not listed asks.
    pub kinds: BTreeMap<String, KindPolicy>,
    /// How much all live actions may take away together.
    pub blast_radius: BlastRadius,
    /// Where a person is asked, or asks, for more than this share of a service, two must agree.
    pub four_eyes_above: f64,
    /// When less is done alone than at other times.
    pub freeze_windows: Vec<FreezeWindow>,
    /// Share of capacity that must stay, and be well by evidence.
    pub min_healthy_capacity: f64,
    /// No more replicas are asked for than so many times those that there are.
    pub scale_at_most: f64,
    /// Rest of a target after an action on it ended, seconds.
    pub cooldown_s: u32,
    /// Reversals of one target in an hour before a person is asked.
    pub reversals_per_hour: usize,
    /// Actions in an hour before a person is asked.
    pub actions_per_hour: usize,
    /// How long a kind that did harm only advises, seconds.
    pub demote_s: u32,
    /// How long a person's "no" about a target stands, seconds.
    pub person_holds_s: u32,
    /// How long a proposal waits for a person, seconds.
    pub proposal_expires_s: u32,
    /// Older evidence is none, milliseconds.
    pub max_telemetry_age_ms: i64,
    /// Seconds of quiet traffic before what needs a baseline may act alone.
    pub learning_s: u64,
    /// What earns a kind of mode `earn` that it acts alone.
    pub autonomy: AutonomyPolicy,
    /// The life of an action.
    pub lifecycle: LifecyclePolicy,
}

/// What earns a kind that it acts alone.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AutonomyPolicy {
    /// It helps at least so often …
    pub promote_at: f64,
    /// … with this probability (the posterior's lower bound) …
    pub sure: f64,
    /// … shown by so many measured effects since it last did harm.
    pub min_trials: u32,
}

impl Default for AutonomyPolicy {
    fn default() -> Self {
        Self { promote_at: 0.85, sure: 0.95, min_trials: 10 }
    }
}

/// How far one kind of action may go.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KindPolicy {
    /// Its own bound; the brain's mode is another.
    pub mode: KindMode,
    /// Below this probability of helping a person is asked.
    pub threshold: f64,
}

/// The bound of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindMode {
    /// Never.
    Observe,
    /// Ask.
    Advise,
    /// Ask until its record is good enough (`autonomy`), and again after harm.
    Earn,
    /// Act within the guard.
    Auto,
}

impl KindMode {
    /// As the mode it allows.
    #[must_use]
    pub fn bound(self) -> Mode {
        match self {
            Self::Observe => Mode::Observe,
            Self::Advise => Mode::Advisory,
            Self::Earn | Self::Auto => Mode::Autonomous,
        }
    }
}

/// Shares of capacity, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// Of any one service.
    pub service: f64,
    /// Of all services together.
    pub fleet: f64,
    /// Of a service's usual requests, by refusing clients or load.
    #[serde(default = "requests")]
    pub requests: f64,
}

fn requests() -> f64 {
    BlastRadius::default().requests
}

impl Default for BlastRadius {
    fn default() -> Self {
        Self { service: 0.4, fleet: 0.34, requests: 0.4 }
    }
}

/// The life of an action.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LifecyclePolicy {
    /// Which share of a service's proxies gets an action first, second, …, at least one more each time; then
    /// all. Empty: all at once.
    pub waves: Vec<f64>,
    /// The longest that one wave is looked at, seconds.
    pub wave_max_s: u32,
    /// From the receipts to the measuring.
    pub settle_ms: i64,
    /// The fewest requests an effect is measured on.
    pub verify_requests: u64,
    /// The longest that is measured, seconds.
    pub verify_max_s: u32,
    /// From helping to the first probe, seconds; doubled with each failed one.
    pub probe_after_s: u32,
    /// The longest between probes, seconds.
    pub probe_max_after_s: u32,
    /// Of the endpoint's own share of traffic.
    pub probe_share: f64,
    /// Requests a probe is judged on.
    pub probe_requests: u64,
    /// After so many seconds fewer must do.
    pub probe_max_s: u32,
    /// Full traffic again before the case is left, seconds.
    pub return_watch_s: u32,
    /// Quiet for so long ends an incident, seconds.
    pub close_after_s: u32,
    /// Nothing is held longer without a new decision, seconds.
    pub max_hold_s: u32,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            version: 1,
            kinds: BTreeMap::new(),
            blast_radius: BlastRadius::default(),
            four_eyes_above: 0.3,
            freeze_windows: Vec::new(),
            min_healthy_capacity: 0.5,
            scale_at_most: 3.0,
            cooldown_s: 10,
            reversals_per_hour: 2,
            actions_per_hour: 30,
            demote_s: 3_600,
            person_holds_s: 3_600,
            proposal_expires_s: 600,
            max_telemetry_age_ms: 5_000,
            learning_s: 3_600,
            autonomy: AutonomyPolicy::default(),
            lifecycle: LifecyclePolicy::default(),
        }
    }
}

impl Default for LifecyclePolicy {
    fn default() -> Self {
        Self {
            waves: vec![0.0, 0.1],
            wave_max_s: 10,
            settle_ms: 2_000,
            verify_requests: 50,
            verify_max_s: 20,
            probe_after_s: 10,
            probe_max_after_s: 300,
            probe_share: 0.05,
            probe_requests: 20,
            probe_max_s: 30,
            return_watch_s: 5,
            close_after_s: 10,
            max_hold_s: 3_600,
        }
    }
}

impl GuardPolicy {
    /// The bound and threshold of a kind; one that is not listed asks.
    #[must_use]
    pub fn kind(&self, name: &str) -> KindPolicy {
        let unlisted = KindPolicy { mode: KindMode::Advise, threshold: 1.0 };
        self.kinds.get(name).copied().unwrap_or(unlisted)
    }

    /// No kind acts alone below this probability, whatever its own threshold says.
    pub(super) fn raise_thresholds(&mut self, least: f64) {
        self.kinds.values_mut().for_each(|kind| kind.threshold = kind.threshold.max(least));
    }

    pub(super) fn findings(&self) -> Findings {
        let life = &self.lifecycle;
        let mut found = out_of_range(&[
            ("/version", f64::from(self.version), 1.0, 1.0),
            ("/blast_radius/service", self.blast_radius.service, 0.0, 0.9),
            ("/blast_radius/fleet", self.blast_radius.fleet, 0.0, 0.9),
            ("/blast_radius/requests", self.blast_radius.requests, 0.0, 0.9),
            ("/autonomy/promote_at", self.autonomy.promote_at, 0.5, 1.0),
            ("/autonomy/sure", self.autonomy.sure, 0.5, 0.999),
            ("/four_eyes_above", self.four_eyes_above, 0.0, 1.0),
            ("/min_healthy_capacity", self.min_healthy_capacity, 0.0, 1.0),
            ("/scale_at_most", self.scale_at_most, 1.0, 100.0),
            ("/max_telemetry_age_ms", self.max_telemetry_age_ms as f64, 1_000.0, 600_000.0),
            ("/lifecycle/waves", life.waves.len() as f64, 0.0, 8.0),
            ("/lifecycle/wave_max_s", f64::from(life.wave_max_s), 1.0, 3_600.0),
            ("/lifecycle/settle_ms", life.settle_ms as f64, 0.0, 600_000.0),
            ("/lifecycle/verify_max_s", f64::from(life.verify_max_s), 1.0, 3_600.0),
            ("/lifecycle/probe_after_s", f64::from(life.probe_after_s), 1.0, 3_600.0),
            ("/lifecycle/probe_max_after_s", f64::from(life.probe_max_after_s), 1.0, 86_400.0),
            ("/lifecycle/probe_share", life.probe_share, 0.01, 1.0),
            ("/lifecycle/probe_requests", life.probe_requests as f64, 1.0, 1e6),
            ("/lifecycle/max_hold_s", f64::from(life.max_hold_s), 10.0, 86_400.0),
        ]);
        for (n, share) in life.waves.iter().enumerate() {
            found.extend(out_of_range(&[(&format!("/lifecycle/waves/{n}"), *share, 0.0, 1.0)]));
        }
        for (n, window) in self.freeze_windows.iter().enumerate() {
            found.extend(window.findings(&format!("/freeze_windows/{n}")));
        }
        for (name, kind) in &self.kinds {
            let path = format!("/kinds{}", protocol::document::pointer_step(name));
            if !KINDS.contains(&name.as_str()) {
                found.push((
                    path.clone(),
                    format!("there is no action {name:?}; known: {}", KINDS.join(", ")),
                ));
            }
            found.extend(out_of_range(&[(&format!("{path}/threshold"), kind.threshold, 0.0, 1.0)]));
        }
        found
    }
}

/// Whether there is an action kind of this name.
#[must_use]
pub fn is_kind(name: &str) -> bool {
    KINDS.contains(&name)
}
