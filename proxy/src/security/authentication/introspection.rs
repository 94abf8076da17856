//! Tokens that say nothing by themselves: the server that has made them is asked (RFC 7662).
//!
//! What it says is remembered for a short while, never past the token's own end. Few questions are under way
//! at once, each for a bounded time, and none for a second after one that failed: then nobody is let in whose
//! standing is not known, and who asks is told to come back (503), not that the token is bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::standings::{Standing, Standings, TokenHash, hash};
use super::strict_json;
use crate::security::remote::Remote;

/// The longest answer.
const MAX_ANSWER_BYTES: usize = 65_536;
/// Questions under way at once.
const MAX_ASKING: usize = 64;
/// What does not stand is remembered so long: who has just got a token is not to wait for more.
const REFUSED_FOR_S: u64 = 5;

/// What is wanted of a token.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// `iss` must be exactly this; absent: it is not looked at.
    pub issuer: Option<String>,
    /// `aud` must name one of these; empty: it is not looked at.
    pub audiences: Vec<String>,
    /// Longer tokens are not asked about.
    pub max_bytes: usize,
    /// What stands is remembered so long, seconds.
    pub remember_s: u64,
}

/// See the module. Shared by all workers.
#[derive(Debug)]
pub struct Introspector {
    remote: Remote,
    /// How this proxy says who it is; shown as "Sensitive" where it is printed.
    credentials: Option<HeaderValue>,
    terms: Terms,
    standings: Standings,
    places: Semaphore,
    within: Duration,
    /// No questions before this second of Unix time.
    quiet_until: AtomicU64,
}

impl Introspector {
    /// Asks `remote`, each time for at most `within`; remembers at most `most` tokens.
    #[must_use]
    pub fn new(
        remote: Remote,
        credentials: Option<HeaderValue>,
        terms: Terms,
        (most, within): (usize, Duration),
    ) -> Self {
        let (standings, places) = (Standings::new(most), Semaphore::new(MAX_ASKING));
        Self { remote, credentials, terms, standings, places, within, quiet_until: AtomicU64::new(0) }
    }

    /// Whether this could be a token (RFC 6750 section 2.1) that is worth asking about.
    #[must_use]
    pub fn could_be(&self, token: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let body = token.trim_end_matches('=');
        !body.is_empty() && token.len() <= self.terms.max_bytes && body.bytes().all(plain)
    }

    /// What is known of `token` at `now`, seconds of Unix time; `None`: it must be asked about.
    pub(super) fn standing(&self, token: &str, now: u64) -> Option<Standing> {
        self.standings.get(&hash(token), now)
    }

    /// Asks about `token`; whether something is known of it afterwards.
    pub async fn ask(&self, token: &str, now: u64) -> bool {
        let hash = hash(token);
        if now < self.quiet_until.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(Ok(_place)) = timeout(self.within, self.places.acquire()).await else { return false };
        // Another may have asked while this one waited.
        if self.standings.get(&hash, now).is_some() {
            return true;
        }
        let form = format!("token={}&token_type_hint=access_token", encoded(token));
        match self.remote.post(form, self.credentials.as_ref(), MAX_ANSWER_BYTES).await {
            Ok(answer) => self.heard(&hash, &answer, now),
            Err(why) => self.failed(now, &why.to_string()),
        }
    }

    fn heard(&self, hash: &TokenHash, answer: &[u8], now: u64) -> bool {
        let Some(said) =
            strict_json::object(answer).filter(|said| said.get("active").is_some_and(Value::is_boolean))
        else {
            return self.failed(now, "it answers with no JSON object that says whether the token is active");
        };
        let until = said.get("exp").and_then(Value::as_f64).map_or(u64::MAX, |until| until as u64);
        let standing = self.terms.take(&said, now).then(|| Arc::new(said));
        let seconds = if standing.is_some() { self.terms.remember_s } else { REFUSED_FOR_S };
        let until = if standing.is_some() { until.min(now + seconds) } else { now + seconds };
        self.standings.put(*hash, standing, until);
        true
    }

    /// Says so at most once a second, since nothing is asked in between.
    fn failed(&self, now: u64, why: &str) -> bool {
        if self.quiet_until.swap(now + 1, Ordering::Relaxed) <= now {
            tracing::warn!("{} cannot be asked about tokens: {why}", self.remote.url);
        }
        false
    }
}

impl Terms {
    /// Whether what is said of a token lets it pass. RFC 7662 section 4: the asker looks at times and audience.
    fn take(&self, said: &Map<String, Value>, now: u64) -> bool {
        let moment = |name: &str| match said.get(name) {
            None => Some(None),
            Some(value) => value.as_f64().filter(|at| at.is_finite()).map(Some),
        };
        let (Some(expires), Some(begins)) = (moment("exp"), moment("nbf")) else { return false };
        let now = now as f64;
        let issuer = self.issuer.as_deref();
        said.get("active") == Some(&Value::Bool(true))
            && expires.is_none_or(|expires| expires > now)
            && begins.is_none_or(|begins| begins <= now)
            && (issuer.is_none() || said.get("iss").and_then(Value::as_str) == issuer)
            && (self.audiences.is_empty() || self.is_for_us(said.get("aud")))
    }

    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        let ours =
            |value: &Value| value.as_str().is_some_and(|text| self.audiences.iter().any(|own| own == text));
        match audience {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        }
    }
}

/// This proxy's own name and secret as the server wants them (RFC 6749 section 2.3.1): each encoded as in forms.
#[must_use]
pub fn credentials(id: &str, secret: &str) -> Option<HeaderValue> {
    use base64::Engine;
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn encoded(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push('%');
            all.push_str(&hex::encode_upper([byte]));
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn only_what_stands_now_for_us_passes() {
        let terms = Terms {
            issuer: Some("https://idp.test".to_owned()),
            audiences: vec!["shop".to_owned()],
            ..Terms::default()
        };
        let with = |change: Value| {
            let mut said = json!({"active": true, "iss": "https://idp.test", "aud": "shop", "exp": NOW + 9});
            change.as_object().unwrap().iter().for_each(|(name, value)| said[name] = value.clone());
            terms.take(said.as_object().unwrap(), NOW)
        };
        for good in
            [json!({}), json!({"aud": ["x", "shop"]}), json!({"nbf": NOW}), json!({"exp": NOW as f64 + 0.5})]
        {
            assert!(with(good.clone()), "{good}");
        }
        for bad in [
            json!({"active": false}),
            json!({"active": "true"}),
            json!({"active": 1}),
            json!({"exp": NOW}),
            json!({"exp": "later"}),
            json!({"nbf": NOW + 1}),
            json!({"iss": "https://evil.test"}),
            json!({"iss": null}),
            json!({"aud": "other"}),
            json!({"aud": []}),
            json!({"aud": null}),
        ] {
            assert!(!with(bad.clone()), "{bad} passed");
        }
    }

    #[test]
    fn a_secret_is_encoded_as_in_forms_and_never_printed() {
        let value = credentials("a b", "s:é").unwrap();
        assert_eq!(value.to_str().unwrap(), "Basic YSUyMGI6cyUzQSVDMyVBOQ==");
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert_eq!(encoded("a+b/c="), "a%2Bb%2Fc%3D");
    }
}
