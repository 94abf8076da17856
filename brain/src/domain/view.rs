use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Incident, Mode, Proposal};
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
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// Weight now, as the proxies tell; absent when no proxy has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether a lease takes it out.
    pub ejected: bool,
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
}
