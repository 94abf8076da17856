//! `canaries.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Findings, out_of_range};
use crate::canary::CanarySpec;

/// Which canaries begin by themselves, and whom canaries may ask.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CanaryPolicy {
    /// Of this format; 1.
    pub version: u32,
    /// New versions that proxies tell of.
    pub discovery: Discovery,
    /// What gates' URLs may begin with; empty: any.
    pub gate_urls: Vec<String>,
}

/// A version that has endpoints, but no traffic, may get its canary without being asked for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// Whether; only under mode `autonomous`.
    pub enabled: bool,
    /// For these services alone; empty: for all.
    pub services: Vec<String>,
    /// So long a new version must have been seen, seconds.
    pub settle_s: u32,
    /// The canary, but for service and versions: everything that `kind: Canary` knows.
    pub template: BTreeMap<String, serde_json::Value>,
}

impl Default for CanaryPolicy {
    fn default() -> Self {
        Self { version: 1, discovery: Discovery::default(), gate_urls: Vec::new() }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self { enabled: false, services: Vec::new(), settle_s: 30, template: BTreeMap::new() }
    }
}

impl Discovery {
    /// The canary of a new version.
    ///
    /// # Errors
    /// The template is none, in words.
    pub fn spec(&self, service: &str, stable: &str, canary: &str) -> Result<CanarySpec, String> {
        let mut fields = self.template.clone();
        for (key, value) in [("service", service), ("stable", stable), ("canary", canary)] {
            fields.insert(key.to_owned(), value.into());
        }
        let fields = serde_json::Map::from_iter(fields);
        let spec: CanarySpec = serde_json::from_value(fields.into()).map_err(|why| why.to_string())?;
        match spec.findings().into_iter().next() {
            Some((path, why)) => Err(format!("{} {why}", path.trim_start_matches('/'))),
            None => Ok(spec),
        }
    }

    /// Whether it is about this service.
    #[must_use]
    pub fn covers(&self, service: &str) -> bool {
        self.enabled && (self.services.is_empty() || self.services.iter().any(|name| name == service))
    }
}

impl CanaryPolicy {
    /// Whether a gate may be asked there.
    #[must_use]
    pub fn allows_gate(&self, url: &str) -> bool {
        self.gate_urls.is_empty() || self.gate_urls.iter().any(|prefix| url.starts_with(prefix))
    }

    pub(super) fn findings(&self) -> Findings {
        let mut found = out_of_range(&[
            ("/version", f64::from(self.version), 1.0, 1.0),
            ("/discovery/settle_s", f64::from(self.discovery.settle_s), 0.0, 86_400.0),
        ]);
        for key in ["service", "stable", "canary"] {
            if self.discovery.template.contains_key(key) {
                found.push((format!("/discovery/template/{key}"), "is what is discovered".to_owned()));
            }
        }
        if let Err(why) = self.discovery.spec("service", "v1", "v2") {
            found.push(("/discovery/template".to_owned(), why));
        }
        found
    }
}
