//! What clients are told of their limits.
//!
//! `ietf`: `RateLimit` and `RateLimit-Policy` as structured fields (draft-ietf-httpapi-ratelimit-headers-10),
//! one item a rule. `x_ratelimit`: the three fields of the tightest rule, seconds until the bucket is full, as
//! GitHub and others have them. `Retry-After` is told in any case where a request is refused.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Rule, Standing};
use crate::settings::RateHeaders;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Adds to `fields` what `standing` means for the client.
pub fn tell(standing: &Standing<'_>, how: RateHeaders, fields: &mut HeaderMap) {
    if let Some((_, Err(wait))) = standing.last() {
        fields.insert(RETRY_AFTER, HeaderValue::from(seconds(*wait)));
    }
    for (rule, said) in standing.iter().filter(|(rule, _)| !rule.terms.dry_run) {
        let (remaining, reset) = match said {
            Ok(left) => (left.remaining, seconds(left.full_in)),
            Err(wait) => (0, seconds(*wait)),
        };
        match how {
            RateHeaders::None => {}
            RateHeaders::Ietf => item(rule, remaining, reset, fields),
            RateHeaders::XRatelimit => tightest(rule, remaining, reset, fields),
        }
    }
}

fn item(rule: &Rule, remaining: u64, reset: u64, fields: &mut HeaderMap) {
    let (name, per) = (&rule.terms.name, rule.terms.per.as_secs());
    let policy = format!("\"{name}\";q={};w={per}", rule.terms.requests);
    let limit = format!("\"{name}\";r={remaining};t={reset}");
    // Names are labels: letters, digits and a few signs.
    HeaderValue::try_from(policy).into_iter().for_each(|value| _ = fields.append(RATE_LIMIT_POLICY, value));
    HeaderValue::try_from(limit).into_iter().for_each(|value| _ = fields.append(RATE_LIMIT, value));
}

fn tightest(rule: &Rule, remaining: u64, reset: u64, fields: &mut HeaderMap) {
    let said = fields.get(X_REMAINING).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said <= remaining) {
        return;
    }
    fields.insert(X_LIMIT, HeaderValue::from(rule.terms.requests));
    fields.insert(X_REMAINING, HeaderValue::from(remaining));
    fields.insert(X_RESET, HeaderValue::from(reset));
}

/// Rounded up: who comes back then is admitted.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
