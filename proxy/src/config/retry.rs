//! `retry`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a failed request is sent again, elsewhere if there is an elsewhere. Absent: never.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// true unless given.
    pub enabled: Option<bool>,
    /// Attempts for one request, the first included, 1 to 10; 3 unless given.
    pub max_attempts: Option<u32>,
    /// What is tried again; connect_failure, reset, timeout and gateway_error unless given.
    pub on: Option<Vec<RetryOn>>,
    /// Statuses that are tried again beside those.
    pub statuses: Option<Vec<u16>>,
    /// Methods that are sent again though an endpoint may have seen them; the idempotent ones (GET, HEAD,
    /// OPTIONS, TRACE, PUT, DELETE) unless given. Where nothing was sent, any method is tried again.
    pub methods: Option<Vec<String>>,
    /// For one attempt; the request's own timeout holds over all of them. Absent: only that one.
    pub per_try_timeout_ms: Option<u64>,
    /// Before the second attempt between 0 and this, before the third between 0 and twice this, and so on;
    /// 25 unless given.
    pub backoff_ms: Option<u64>,
    /// The longest such time; 250 unless given.
    pub backoff_max_ms: Option<u64>,
    /// Of a request's body so much is kept for another attempt; a longer one has only one; 65536 unless given.
    pub max_body_bytes: Option<u32>,
    /// How many retries there may be, of all requests to the service.
    pub budget: Option<RetryBudget>,
    /// A second attempt beside one that is late. Absent: none.
    pub hedge: Option<Hedge>,
}

/// Retries and hedges over requests, so that retries cannot multiply an outage.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudget {
    /// Retries over the requests of the last ten seconds, 0 to 1; 0.2 unless given.
    pub ratio: Option<f64>,
    /// So many a second may be beside those, 0 to 10000; 10 unless given.
    pub min_per_second: Option<u32>,
}

/// A request without a body, of a method that may be sent again, that is not answered in the time that most
/// are, is sent to another endpoint too; the first answer is the client's.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// true unless given.
    pub enabled: Option<bool>,
    /// The time in which so many percent of the service's answers come, 50 to 99.9; 95 unless given.
    pub percentile: Option<f64>,
    /// Never sooner than this; 1 unless given.
    pub min_ms: Option<u64>,
}

/// What may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum RetryOn {
    ConnectFailure,
    Reset,
    Timeout,
    GatewayError,
    #[serde(rename = "5xx")]
    Any5xx,
    #[serde(rename = "retriable_4xx")]
    Retriable4xx,
    GrpcCancelled,
    GrpcDeadlineExceeded,
    GrpcInternal,
    GrpcResourceExhausted,
    GrpcUnavailable,
}

impl Retry {
    /// Every key of this one, and of `common` where this one is silent.
    #[must_use]
    pub fn over(&self, common: &Self) -> Self {
        let budget = both(self.budget.as_ref(), common.budget.as_ref(), RetryBudget::over);
        Self {
            enabled: self.enabled.or(common.enabled),
            max_attempts: self.max_attempts.or(common.max_attempts),
            on: self.on.clone().or_else(|| common.on.clone()),
            statuses: self.statuses.clone().or_else(|| common.statuses.clone()),
            methods: self.methods.clone().or_else(|| common.methods.clone()),
            per_try_timeout_ms: self.per_try_timeout_ms.or(common.per_try_timeout_ms),
            backoff_ms: self.backoff_ms.or(common.backoff_ms),
            backoff_max_ms: self.backoff_max_ms.or(common.backoff_max_ms),
            max_body_bytes: self.max_body_bytes.or(common.max_body_bytes),
            budget,
            hedge: both(self.hedge.as_ref(), common.hedge.as_ref(), Hedge::over),
        }
    }
}

impl RetryBudget {
    fn over(&self, common: &Self) -> Self {
        Self {
            ratio: self.ratio.or(common.ratio),
            min_per_second: self.min_per_second.or(common.min_per_second),
        }
    }
}

impl Hedge {
    fn over(&self, common: &Self) -> Self {
        Self {
            enabled: self.enabled.or(common.enabled),
            percentile: self.percentile.or(common.percentile),
            min_ms: self.min_ms.or(common.min_ms),
        }
    }
}

/// One part over another, where both are given; else whichever is.
pub(super) fn both<T: Clone>(
    own: Option<&T>,
    common: Option<&T>,
    over: impl FnOnce(&T, &T) -> T,
) -> Option<T> {
    match (own, common) {
        (Some(own), Some(common)) => Some(over(own, common)),
        (own, common) => own.or(common).cloned(),
    }
}
