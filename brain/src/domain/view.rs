use std::sync::Arc;

use protocol::snapshot::{BreakerState, Health};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, CauseKind, Incident, Mode, Proposal};
use crate::canary::CanaryDetail;

/// What the API shows: a frozen picture of the control loop after a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// When it was taken.
    pub at_ms: i64,
    /// The upper bound of autonomy.
    pub mode: Mode,
    /// Whether a person has stopped everything.
    pub frozen: bool,
    /// This brain's epoch.
    pub epoch: u64,
    /// Services, by name.
    pub services: Vec<ServiceView>,
    /// Newest first; closed ones are kept to a bound.
    pub incidents: Vec<Incident>,
    /// Newest first, bounded.
    pub proposals: Vec<Proposal>,
    /// Newest first, bounded.
    pub actions: Vec<Action>,
    /// Proxies seen.
    pub proxies: Vec<ProxyView>,
    /// What each kind of action has shown, by name.
    #[serde(default)]
    pub autonomy: Vec<AutonomyRow>,
    /// Canaries, newest first. Shared: their records are long.
    #[serde(skip)]
    pub canaries: Vec<Arc<CanaryDetail>>,
    /// How much may still be done, and how much of it is used up.
    #[serde(default)]
    pub budgets: Budgets,
}

/// What the guard allows in all, and what of it is in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budgets {
    /// Actions begun in the last hour.
    pub actions_last_hour: usize,
    /// More than so many ask a person.
    pub actions_per_hour: usize,
    /// Reversals of one target in an hour before a person is asked.
    pub reversals_per_hour: usize,
    /// Share of the capacity of any one service that may be taken away.
    pub radius_service: f64,
    /// Share of the capacity of all services together.
    pub radius_fleet: f64,
    /// Share of a service's usual requests that may be refused.
    pub radius_requests: f64,
    /// Share of capacity that must stay, and be well.
    pub min_healthy_capacity: f64,
    /// Above this share of a service two people must agree.
    pub four_eyes_above: f64,
    /// Rest of a target after an action on it ended, seconds.
    pub cooldown_s: u32,
}

/// One kind as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AutonomyRow {
    /// Which.
    pub kind: String,
    /// What it may do now.
    pub mode: Mode,
    /// Why it may, or may not.
    pub why: String,
    /// Effects measured: all of them, whatever the cause.
    pub trials: u32,
    /// Of them it helped.
    pub helped: u32,
    /// Changed nothing.
    pub unchanged: u32,
    /// Did harm.
    pub harmed: u32,
    /// People agreed.
    pub approved: u32,
    /// People refused.
    pub rejected: u32,
    /// How often it helps at least, by what it has shown since it last did harm.
    pub lower_bound: f64,
    /// How far what was said lies from what came true, on average.
    pub calibration_error: f64,
    /// What was said against what came true, where there were trials.
    pub curve: Vec<Bin>,
    /// The models that tell when it helps, by cause.
    #[serde(default)]
    pub models: Vec<ModelRow>,
}

/// A learned model of one kind of action against one kind of cause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRow {
    /// Against what.
    pub cause: CauseKind,
    /// Outcomes in this mesh that it was taught.
    pub outcomes: u32,
    /// Whether it speaks: by them or, while they are few, by what the simulator has shown.
    pub speaks: bool,
    /// How far what it said before each outcome lay from what came true, on average.
    pub calibration_error: f64,
    /// What the simulator has shown before the first of them; absent: too little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedRow>,
}

/// What came of a kind of action in the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedRow {
    /// Outcomes in simulated worlds.
    pub outcomes: u32,
    /// Of them it helped.
    pub helped: u32,
    /// So many outcomes in this mesh are worth as much as all of them.
    pub worth: f64,
}

/// One point of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bin {
    /// Confidence, on average.
    pub said: f64,
    /// Share that came true.
    pub came_true: f64,
    /// Trials.
    pub trials: u32,
}

/// One service over the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Its name.
    pub service: String,
    /// Requests per second.
    pub rps: f64,
    /// Share of failures, 0 to 1.
    pub failure_share: f64,
    /// Median, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// Who calls it.
    pub callers: Vec<String>,
    /// How much each caller asks, over the last ten seconds.
    #[serde(default)]
    pub calls: Vec<CallView>,
    /// What would be usual now; absent before anything is learned, and for the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Seconds of quiet traffic learned from.
    pub learned_s: u64,
    /// Why nothing is heard of it now; absent: it is asked, and its proxies tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// Proxies before it that live and report nothing: what they serve is not seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute_proxies: Vec<String>,
    /// Proxies before it of which nothing is heard any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_proxies: Vec<String>,
    /// Requests a second that are usual at this time of the day and week; absent before it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_rps: Option<f64>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
}

/// Why nothing is heard of a service. None of these is its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Its proxies report, and nobody asks it.
    NoTraffic,
    /// Its proxies live, and none of them reports.
    NoTelemetry,
    /// All of its proxies are gone.
    LostProxies,
}

/// What one caller asks of a service, over the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallView {
    /// Who calls.
    pub caller: String,
    /// Requests per second.
    pub rps: f64,
    /// Share of failures, 0 to 1.
    pub failure_share: f64,
}

/// The learned normal of a service: bands of three standard deviations of ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// Requests per second, from and to.
    pub rps: [f64; 2],
    /// Share of failures, from and to.
    pub failure_share: [f64; 2],
    /// Median, milliseconds: the learned quartiles around it.
    pub p50_ms: [f64; 2],
    /// 99th percentile, milliseconds: from the learned p95 to the p99.9.
    pub p99_ms: [f64; 2],
}

/// One endpoint over the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointView {
    /// `ADDRESS:PORT`.
    pub endpoint: String,
    /// Version label.
    pub version: String,
    /// Requests per second.
    pub rps: f64,
    /// Share of failures, 0 to 1.
    pub failure_share: f64,
    /// Median, milliseconds.
    #[serde(default)]
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// Weight now, as the proxies tell; absent when no proxy has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Weight in the proxies' files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_configured: Option<u32>,
    /// Whether a lease takes it out.
    pub ejected: bool,
    /// The worst that any proxy's active check says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The least closed of the proxies' breakers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerState>,
}

/// One proxy as the brain knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyView {
    /// Its id.
    pub proxy: String,
    /// Its action API.
    pub admin: String,
    /// End of its newest window, milliseconds since the epoch.
    pub last_window_ms: i64,
    /// Whether its action API answered lately.
    pub reachable: bool,
    /// Windows refused: late, repeated, contradictory, not its own.
    pub windows_refused: u64,
    /// The build, where it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Hash of its configuration, where it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Whether it refuses actions.
    #[serde(default)]
    pub frozen: bool,
    /// Leases it holds now.
    #[serde(default)]
    pub leases: usize,
}
