//! Business metrics: what a Prometheus says of both versions, as extra evidence.
//!
//! The rollout says what should be read ([`MetricCall`]) and hears the values; reading is I/O and not done
//! here. How a value counts is the judge's business (`judge.business`, by the same name); a value that
//! does not come is no evidence of anything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gates::is_url;
use super::judge::{BusinessMetric, Reading};
use super::{Canary, Phase};

/// What stands for the version in a query.
const VERSION: &str = "$VERSION";
/// The longest query, bytes.
const MAX_QUERY: usize = 4_096;
/// Readings that wait for the next look.
const MAX_WAITING: usize = 64;

/// Where business metrics come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// `http://HOST:PORT` or `https://HOST`, before `/api/v1/query`.
    pub url: String,
    /// By the name of a metric in `judge.business`: a query of one value, in which `$VERSION` stands for the
    /// version.
    pub queries: BTreeMap<String, String>,
}

/// Something to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricCall {
    /// Which rollout asks.
    pub canary: String,
    /// Which metric.
    pub metric: String,
    /// Where.
    pub url: String,
    /// For the stable version and the canary.
    pub queries: [String; 2],
}

impl Prometheus {
    /// What cannot be meant.
    pub(super) fn mistake(&self, metrics: &[BusinessMetric]) -> Option<String> {
        if !is_url(&self.url) {
            return Some(format!("{:?} is neither http://HOST:PORT nor https://HOST", self.url));
        }
        for (name, query) in &self.queries {
            if !metrics.iter().any(|metric| metric.name == *name) {
                return Some(format!("judge.business has no metric {name:?}"));
            }
            if !query.contains(VERSION) || query.len() > MAX_QUERY {
                return Some(format!("the query of {name:?} does not name {VERSION}, or is too long"));
            }
        }
        None
    }
}

impl Canary {
    /// Has read what is due, while there is traffic to compare.
    pub(super) fn read_metrics(&mut self) {
        let Some(prometheus) = self.spec.prometheus.as_ref().filter(|_| self.phase == Phase::Step) else {
            return;
        };
        if self.in_force_ms.is_none() {
            return;
        }
        for metric in &self.spec.judge.business {
            let Some(query) = prometheus.queries.get(&metric.name) else { continue };
            let due_ms =
                self.read_ms.get(&metric.name).map_or(i64::MIN, |ms| ms.saturating_add(metric.spacing_ms));
            if self.turned_ms < due_ms {
                continue;
            }
            self.read_ms.insert(metric.name.clone(), self.turned_ms);
            self.readings_wanted.push(MetricCall {
                canary: self.id.clone(),
                metric: metric.name.clone(),
                url: prometheus.url.clone(),
                queries: [&self.spec.stable, &self.spec.canary]
                    .map(|version| query.replace(VERSION, version)),
            });
        }
    }

    /// Hears the values; the next look shows them to the judge.
    pub fn has_read(&mut self, reading: Reading) {
        if self.readings.len() < MAX_WAITING && reading.stable.is_finite() && reading.canary.is_finite() {
            self.readings.push(reading);
        }
    }
}
