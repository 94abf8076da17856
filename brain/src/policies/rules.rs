//! `rules.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Findings, out_of_range};
use crate::domain::{CauseKind, Signal};

/// What to do about it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesPolicy {
    /// Of this format; 1.
    #[serde(default = "one")]
    pub version: u32,
    /// In order: the first that matches proposes.
    pub rules: Vec<Rule>,
    /// What to do before load that is forecast, in order: the first that matches proposes.
    #[serde(default)]
    pub ahead: Vec<AheadRule>,
}

/// One surge, one provision.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AheadRule {
    /// How it is called in audit and proposals.
    pub name: String,
    /// Before which load.
    pub when: Surge,
    /// What it proposes.
    pub propose: Provision,
    /// How often that helps against a surge that comes, 0 to 1.
    #[serde(default = "usually")]
    pub helps: f64,
}

/// Load to come.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Surge {
    /// So many times the most of the last hours, or more, at some time in the next quarter of an hour …
    pub times: f64,
    /// … with this probability, by the forecast's own interval.
    pub min_confidence: f64,
}

/// What may be done before a surge.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Provision {
    /// As many replicas more as the load is more, where somebody can be asked for them (brain.yaml, `scale`).
    Scale {
        /// But at most so many times those that there are.
        at_most_times: f64,
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Less for endpoints that answer slower than their siblings, and so have less to spare.
    SetWeights {
        /// Slower is who takes so many times as long as the one in the middle.
        slower: f64,
        /// Nobody gets less than this part of its configured weight.
        at_least: f64,
        /// Life of each lease.
        lease_ms: u64,
    },
}

impl Provision {
    fn findings(&self, path: &str) -> Findings {
        let (lease_ms, mut found) = match self {
            Self::Scale { at_most_times, lease_ms } => {
                (lease_ms, out_of_range(&[(&format!("{path}/at_most_times"), *at_most_times, 1.0, 100.0)]))
            }
            Self::SetWeights { slower, at_least, lease_ms } => {
                let bounds = [
                    (&*format!("{path}/slower"), *slower, 1.05, 100.0),
                    (&*format!("{path}/at_least"), *at_least, 0.5, 1.0),
                ];
                (lease_ms, out_of_range(&bounds))
            }
        };
        found.extend(out_of_range(&[(&format!("{path}/lease_ms"), *lease_ms as f64, 30_000.0, 3_600_000.0)]));
        found
    }
}

fn one() -> u32 {
    1
}

/// One diagnosis, one remedy.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How it is called in audit and proposals.
    pub name: String,
    /// Which incidents it answers.
    pub when: Condition,
    /// What it proposes.
    pub propose: Remedy,
    /// How often the remedy cures a cause that was named rightly, 0 to 1.
    #[serde(default = "usually")]
    pub helps: f64,
}

fn usually() -> f64 {
    0.9
}

/// Which incidents a rule answers: all of it must hold.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The cause.
    pub cause: CauseKind,
    /// Any of these signals is in the evidence; empty: any at all.
    #[serde(default)]
    pub signals: Vec<Signal>,
    /// The diagnosis is at least so sure.
    #[serde(default)]
    pub min_confidence: f64,
    /// Requests in flight over the baseline's.
    #[serde(default)]
    pub min_in_flight_ratio: f64,
    /// Seconds since the incident was opened: time for a better name to show.
    #[serde(default)]
    pub min_age_s: u32,
}

/// What a rule proposes; its target comes from the diagnosis, never from the rule.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Remedy {
    /// Nothing: people are told, and later rules are not asked.
    None,
    /// Send no traffic to the endpoint.
    EjectEndpoint {
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Send no traffic to the version, where the others can carry it.
    SetWeights {
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Take the version back, where it is on trial.
    RollbackCanary {
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Refuse the clients.
    BlockIps {
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Give every client so many times what the busiest usually asks, and no more.
    LimitRate {
        /// How many times.
        times_usual: f64,
        /// Life of each lease.
        lease_ms: u64,
    },
    /// Refuse a share of the requests.
    ShedLoad {
        /// Which share; absent: what is beyond the usual load, or beyond what is served well.
        #[serde(default)]
        fraction: Option<f64>,
        /// Life of each lease.
        lease_ms: u64,
    },
}

impl Remedy {
    /// The only cause that names its target, where it needs one.
    fn needs(&self) -> Option<CauseKind> {
        match self {
            Self::None | Self::ShedLoad { .. } => None,
            Self::EjectEndpoint { .. } => Some(CauseKind::BadEndpoint),
            Self::SetWeights { .. } | Self::RollbackCanary { .. } => Some(CauseKind::BadVersion),
            Self::BlockIps { .. } | Self::LimitRate { .. } => Some(CauseKind::AbusiveClients),
        }
    }

    fn lease_ms(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::EjectEndpoint { lease_ms }
            | Self::SetWeights { lease_ms }
            | Self::RollbackCanary { lease_ms }
            | Self::BlockIps { lease_ms }
            | Self::LimitRate { lease_ms, .. }
            | Self::ShedLoad { lease_ms, .. } => Some(*lease_ms),
        }
    }
}

impl RulesPolicy {
    pub(super) fn findings(&self) -> Findings {
        let mut found = out_of_range(&[("/version", f64::from(self.version), 1.0, 1.0)]);
        for (n, rule) in self.rules.iter().enumerate() {
            if self.rules.iter().take(n).any(|earlier| earlier.name == rule.name) {
                found.push((format!("/rules/{n}"), format!("there are two rules named {:?}", rule.name)));
            }
            found.extend(rule.findings(&format!("/rules/{n}")));
        }
        for (n, rule) in self.ahead.iter().enumerate() {
            if self.ahead.iter().take(n).any(|earlier| earlier.name == rule.name) {
                found.push((format!("/ahead/{n}"), format!("there are two rules named {:?}", rule.name)));
            }
            found.extend(rule.findings(&format!("/ahead/{n}")));
        }
        found
    }
}

impl AheadRule {
    fn findings(&self, path: &str) -> Findings {
        let mut found = out_of_range(&[
            (&format!("{path}/helps"), self.helps, 0.0, 1.0),
            (&format!("{path}/when/times"), self.when.times, 1.0, 100.0),
            (&format!("{path}/when/min_confidence"), self.when.min_confidence, 0.0, 1.0),
        ]);
        found.extend(self.propose.findings(&format!("{path}/propose")));
        found
    }
}

impl Rule {
    fn findings(&self, path: &str) -> Findings {
        let mut found = out_of_range(&[
            (&format!("{path}/helps"), self.helps, 0.0, 1.0),
            (&format!("{path}/when/min_confidence"), self.when.min_confidence, 0.0, 1.0),
        ]);
        if let Some(cause) = self.propose.needs().filter(|cause| *cause != self.when.cause) {
            let cause = serde_json::to_value(cause).unwrap_or_default();
            let why = format!("this action needs a target that only the cause {cause} names");
            found.push((format!("{path}/propose"), why));
        }
        match self.propose {
            Remedy::ShedLoad { fraction: Some(fraction), .. } => {
                found.extend(out_of_range(&[(&format!("{path}/propose/fraction"), fraction, 0.01, 0.9)]));
            }
            Remedy::LimitRate { times_usual, .. } => {
                let key = format!("{path}/propose/times_usual");
                found.extend(out_of_range(&[(&key, times_usual, 1.0, 1_000.0)]));
            }
            _ => {}
        }
        if let Some(lease_ms) = self.propose.lease_ms() {
            let key = format!("{path}/propose/lease_ms");
            found.extend(out_of_range(&[(&key, lease_ms as f64, 3_000.0, 600_000.0)]));
        }
        found
    }
}
