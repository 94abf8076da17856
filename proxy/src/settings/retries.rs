//! `retry`, judged: what is tried again, how often, and within which budget.

use std::time::Duration;

use http::{Method, StatusCode};

use super::findings::{Findings, Place};
use crate::config::{self, Config, RetryOn};

/// The most attempts for one request.
pub const MAX_ATTEMPTS: u32 = 10;
/// The most of a body that is kept for another attempt.
const MAX_KEPT_BODY: u32 = 16 << 20;

/// When a failed request is sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts for one request, the first included.
    pub max_attempts: u32,
    /// What is tried again.
    pub on: Vec<RetryOn>,
    /// Statuses that are tried again beside those.
    pub statuses: Vec<StatusCode>,
    /// Methods that are sent again though an endpoint may have seen them.
    pub methods: Vec<Method>,
    /// For one attempt.
    pub per_try: Option<Duration>,
    /// The first wait is between 0 and this; the bound doubles.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Bytes of a request's body that are kept for another attempt.
    pub max_body_bytes: usize,
    /// Retries over requests.
    pub budget: RetryBudget,
    /// When a second attempt is made beside one that is late.
    pub hedge: Option<Hedge>,
}

/// How many retries there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// Over the requests of the last ten seconds.
    pub ratio: f64,
    /// Beside those, a second.
    pub min_per_second: u32,
}

/// When a second attempt is made beside one that is late.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// After the time in which this share of the answers comes.
    pub quantile: f64,
    /// Never sooner.
    pub at_least: Duration,
}

/// What holds where nothing is said, once retries are wanted at all.
pub(super) fn defaults() -> config::Retry {
    config::Retry {
        enabled: Some(true),
        max_attempts: Some(3),
        on: Some(vec![RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::Timeout, RetryOn::GatewayError]),
        statuses: Some(Vec::new()),
        // RFC 9110 section 9.2.2.
        methods: Some(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].map(str::to_owned).to_vec()),
        per_try_timeout_ms: None,
        // Envoy's.
        backoff_ms: Some(25),
        backoff_max_ms: Some(250),
        max_body_bytes: Some(65_536),
        // Linkerd's.
        budget: Some(config::RetryBudget { ratio: Some(0.2), min_per_second: Some(10) }),
        hedge: None,
    }
}

fn hedge_defaults() -> config::Hedge {
    config::Hedge { enabled: Some(true), percentile: Some(95.0), min_ms: Some(1) }
}

/// What holds for `service`, every key that has a default filled in; absent where nobody asks for it.
pub(super) fn retry(config: &Config, service: &config::Service) -> Option<config::Retry> {
    let given = match (&service.retry, &config.retry) {
        (None, None) => return None,
        (Some(own), None) => own.over(&defaults()),
        (None, Some(common)) => common.over(&defaults()),
        (Some(own), Some(common)) => own.over(&common.over(&defaults())),
    };
    let hedge = config::Retry { hedge: Some(hedge_defaults()), ..config::Retry::default() };
    Some(if given.hedge.is_some() { given.over(&hedge) } else { given })
}

/// Reports what is impossible.
pub(super) fn judge(given: Option<&config::Retry>, at: &Place, findings: &mut Findings) {
    let Some(given) = given else { return };
    if let Some(attempts) = given.max_attempts {
        findings.range(&at.at("max_attempts"), attempts, 1..=MAX_ATTEMPTS);
    }
    if let Some(bytes) = given.max_body_bytes {
        findings.range(&at.at("max_body_bytes"), bytes, 0..=MAX_KEPT_BODY);
    }
    let times = [
        ("per_try_timeout_ms", given.per_try_timeout_ms, 1),
        ("backoff_ms", given.backoff_ms, 0),
        ("backoff_max_ms", given.backoff_max_ms, 0),
    ];
    for (key, ms, least) in times {
        ms.into_iter().for_each(|ms| _ = findings.duration(&at.at(key), ms, least));
    }
    for (n, status) in given.statuses.iter().flatten().enumerate() {
        findings.range(&at.at("statuses").at(n), *status, 400..=599);
    }
    for (n, method) in given.methods.iter().flatten().enumerate() {
        if self::method(method).is_none() {
            findings.add(&at.at("methods").at(n), format!("{method:?} is no method that can be sent again"));
        }
    }
    judge_budget(given, at, findings);
}

fn judge_budget(given: &config::Retry, at: &Place, findings: &mut Findings) {
    let (budget, hedge) = (at.at("budget"), at.at("hedge"));
    if let Some(ratio) = given.budget.as_ref().and_then(|budget| budget.ratio) {
        findings.range(&budget.at("ratio"), ratio, 0.0..=1.0);
    }
    if let Some(most) = given.budget.as_ref().and_then(|budget| budget.min_per_second) {
        findings.range(&budget.at("min_per_second"), most, 0..=10_000);
    }
    if let Some(percentile) = given.hedge.as_ref().and_then(|hedge| hedge.percentile) {
        findings.range(&hedge.at("percentile"), percentile, 50.0..=99.9);
    }
    if let Some(ms) = given.hedge.as_ref().and_then(|hedge| hedge.min_ms) {
        findings.duration(&hedge.at("min_ms"), ms, 0);
    }
}

fn method(name: &str) -> Option<Method> {
    let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    name.parse().ok().filter(|method| is_token && *method != Method::CONNECT)
}

/// The values of a configuration in which [`judge`] found nothing.
pub(super) fn of(given: &config::Retry) -> Option<Retry> {
    let budget = given.budget.as_ref()?;
    let retry = Retry {
        max_attempts: given.max_attempts?,
        on: given.on.clone()?,
        statuses: given.statuses.iter().flatten().filter_map(|s| StatusCode::from_u16(*s).ok()).collect(),
        methods: given.methods.iter().flatten().filter_map(|name| method(name)).collect(),
        per_try: given.per_try_timeout_ms.map(Duration::from_millis),
        backoff: Duration::from_millis(given.backoff_ms?),
        backoff_max: Duration::from_millis(given.backoff_max_ms?),
        max_body_bytes: given.max_body_bytes? as usize,
        budget: RetryBudget { ratio: budget.ratio?, min_per_second: budget.min_per_second? },
        hedge: given.hedge.as_ref().and_then(hedge),
    };
    given.enabled?.then_some(retry)
}

fn hedge(given: &config::Hedge) -> Option<Hedge> {
    let at_least = Duration::from_millis(given.min_ms?);
    given.enabled?.then_some(Hedge { quantile: given.percentile? / 100.0, at_least })
}

impl Retry {
    /// What a lease means where the file wants no retries.
    #[must_use]
    pub fn by_default() -> Self {
        let none = Self {
            max_attempts: 1,
            on: Vec::new(),
            statuses: Vec::new(),
            methods: Vec::new(),
            per_try: None,
            backoff: Duration::ZERO,
            backoff_max: Duration::ZERO,
            max_body_bytes: 0,
            budget: RetryBudget { ratio: 0.0, min_per_second: 0 },
            hedge: None,
        };
        of(&defaults()).unwrap_or(none)
    }
}
