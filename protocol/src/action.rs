//! The action API's words: what may be asked of a proxy, for how long, and what it answers.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ActionId, EndpointId, Epoch, ServiceName};
use crate::trial::{Copies, Preview};

/// The shortest lease that is taken.
pub const MIN_LEASE_MS: u64 = 1_000;
/// The longest lease that is taken.
pub const MAX_LEASE_MS: u64 = 3_600_000;

/// `PUT /v1/actions/{id}`: a change asked of one proxy, for as long as the lease lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// The asking brain's epoch; an older one than the proxy has seen is refused.
    pub epoch: Epoch,
    /// How long the change lives unless renewed: [`MIN_LEASE_MS`] to [`MAX_LEASE_MS`].
    pub lease_ms: u64,
    /// The service it is about.
    pub service: ServiceName,
    /// The change itself.
    pub kind: ActionKind,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Probability that it helps, 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// Who asks: a brain's id, a person, a pipeline.
    #[serde(default)]
    pub issued_by: String,
}

/// The typed changes. The list is closed: what is not here cannot be asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionKind {
    /// Traffic shares by endpoint (`ADDRESS:PORT`) or by version (`version:V`); a partial map.
    SetWeights {
        /// Weight by target; 0 means none.
        weights: BTreeMap<String, u32>,
    },
    /// No traffic to one endpoint.
    EjectEndpoint {
        /// Which.
        endpoint: EndpointId,
    },
    /// Hold one endpoint's breaker open.
    TripBreaker {
        /// Which.
        endpoint: EndpointId,
    },
    /// Hold one endpoint's breaker closed.
    ResetBreaker {
        /// Which.
        endpoint: EndpointId,
    },
    /// Refuse these clients.
    BlockIps {
        /// None wider than /24 (IPv4) or /48 (IPv6).
        #[schemars(with = "Vec<String>")]
        cidrs: Vec<IpNet>,
    },
    /// A token bucket a key.
    LimitRate {
        /// `ip`, `header:NAME` or `route`.
        key: String,
        /// Sustained requests per second.
        rps: f64,
        /// Bucket size, requests.
        burst: u32,
    },
    /// Refuse a part of the requests before they reach an endpoint. Exactly one field is given.
    ShedLoad {
        /// Refuse what would exceed so many requests in flight.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_in_flight: Option<u32>,
        /// Refuse this share of the requests, up to 0.9.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fraction: Option<f64>,
    },
    /// Another request timeout.
    SetTimeout {
        /// Milliseconds.
        request_timeout_ms: u64,
    },
    /// Another retry budget.
    SetRetryBudget {
        /// Retries over requests.
        ratio: f64,
        /// Attempts for one request, the first included.
        max_attempts: u32,
    },
    /// Another balancing algorithm.
    SetAlgorithm {
        /// As in the configuration.
        algorithm: String,
    },
    /// The split between a stable and a canary version.
    SetCanaryWeight {
        /// The version users have.
        stable: String,
        /// The version on trial.
        canary: String,
        /// The canary's share in percent.
        weight: u32,
        /// Which requests go to the canary whatever its share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preview: Option<Preview>,
        /// Which requests are copied to the canary.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copies: Option<Copies>,
    },
    /// Make a version the stable one.
    PromoteCanary {
        /// Which.
        version: String,
    },
    /// Send nothing more to a version.
    RollbackCanary {
        /// Which.
        version: String,
    },
    /// Run at least so many replicas: asked of whoever runs the service, by the brain; no proxy takes it.
    Scale {
        /// How many.
        replicas: u32,
    },
}

impl ActionKind {
    /// The kind's name as it stands in `type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetWeights { .. } => "set_weights",
            Self::EjectEndpoint { .. } => "eject_endpoint",
            Self::TripBreaker { .. } => "trip_breaker",
            Self::ResetBreaker { .. } => "reset_breaker",
            Self::BlockIps { .. } => "block_ips",
            Self::LimitRate { .. } => "limit_rate",
            Self::ShedLoad { .. } => "shed_load",
            Self::SetTimeout { .. } => "set_timeout",
            Self::SetRetryBudget { .. } => "set_retry_budget",
            Self::SetAlgorithm { .. } => "set_algorithm",
            Self::SetCanaryWeight { .. } => "set_canary_weight",
            Self::PromoteCanary { .. } => "promote_canary",
            Self::RollbackCanary { .. } => "rollback_canary",
            Self::Scale { .. } => "scale",
        }
    }

    /// The one endpoint it is about, where it is about one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&EndpointId> {
        match self {
            Self::EjectEndpoint { endpoint }
            | Self::TripBreaker { endpoint }
            | Self::ResetBreaker { endpoint } => Some(endpoint),
            _ => None,
        }
    }
}

/// The proxy took the action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The action's id.
    pub id: ActionId,
    /// When it took effect.
    #[schemars(with = "String")]
    pub applied_at: Timestamp,
    /// When it ends unless renewed, by the proxy's own clock.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// The live state's hash just before.
    pub live_state_hash_before: String,
    /// And just after.
    pub live_state_hash_after: String,
    /// What was said beside; proxies say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A row of `GET /v1/actions`: what was asked, and the receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRow {
    /// The request as it was put.
    #[serde(flatten)]
    pub request: ActionRequest,
    /// The receipt it was answered with; `expires_at` moves with each renewal.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// `POST /v1/actions/{id}/renew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The asking brain's epoch.
    pub epoch: Epoch,
    /// The new remaining life, counted from now.
    pub lease_ms: u64,
}

/// Every list on every API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Items<T> {
    /// This page.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Items<T> {
    /// A list that fits on one page.
    #[must_use]
    pub fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// RFC 9457 problem details: every refusal on every API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// The HTTP status, repeated.
    pub status: u16,
    /// The class of refusal, one phrase.
    pub title: String,
    /// What was wrong with this request, and what to do.
    pub detail: String,
}

/// The media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(json: &str) -> Result<ActionKind, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn unknown_fields_and_unknown_kinds_are_refused() {
        assert!(kind(r#"{"type":"eject_endpoint","endpoint":"a:1"}"#).is_ok());
        assert!(kind(r#"{"type":"eject_endpoint","endpoint":"a:1","force":true}"#).is_err());
        assert!(kind(r#"{"type":"disable_tls"}"#).is_err());
        assert!(kind(r#"{"type":"block_ips","cidrs":["300.1.1.1/33"]}"#).is_err());
    }

    #[test]
    fn the_action_json_is_stable() {
        let all = [
            ActionKind::SetWeights { weights: BTreeMap::from([("version:v1".to_owned(), 90)]) },
            ActionKind::ShedLoad { max_in_flight: None, fraction: Some(0.25) },
            ActionKind::SetCanaryWeight {
                stable: "v1".into(),
                canary: "v2".into(),
                weight: 5,
                preview: None,
                copies: None,
            },
        ];
        insta::assert_json_snapshot!(all, @r#"
        [
          {
            "type": "set_weights",
            "weights": {
              "version:v1": 90
            }
          },
          {
            "type": "shed_load",
            "fraction": 0.25
          },
          {
            "type": "set_canary_weight",
            "stable": "v1",
            "canary": "v2",
            "weight": 5
          }
        ]
        "#);
    }
}
