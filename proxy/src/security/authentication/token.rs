//! A JSON web token in its compact form (RFC 7515, 7519), judged by RFC 8725's rules: the algorithm is one
//! that the configuration names, the key is one that it knows, and nothing in the token can change either.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::jwks::{KeySet, NoKey};
use super::strict_json;

/// Header parameters that would bring a key along, or change what is signed.
const FORBIDDEN: [&str; 7] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"];
/// Types of tokens that say who somebody is; others (logout tokens, proofs of possession) do not.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];
/// The longest `kid` that is looked for.
const MAX_KEY_ID: usize = 512;

/// What a provider wants of a token.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `iss` must be exactly this.
    pub issuer: String,
    /// `aud` must name one of these; empty: it is not looked at.
    pub audiences: Vec<String>,
    /// Those that may sign.
    pub algorithms: Vec<Algorithm>,
    /// Clocks may differ so much, seconds.
    pub skew: u64,
    /// Longer tokens are not looked at.
    pub max_bytes: usize,
}

/// A token taken apart, nothing of it believed yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    message: &'a [u8],
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes `token` apart; `None`: it is none that `rules` could let pass.
    #[must_use]
    pub fn parse(token: &'a str, rules: &Rules) -> Option<Self> {
        if token.len() > rules.max_bytes {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.'))?;
        let header = strict_json::object(&decoded(header)?)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return None;
        }
        let text = |name: &str| header.get(name).map(|value| value.as_str().ok_or(())).transpose().ok();
        let known = |kind: &str| TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known));
        if !text("typ")?.is_none_or(known) {
            return None;
        }
        let algorithm = Algorithm::named(text("alg")??).filter(|named| rules.algorithms.contains(named))?;
        let key_id = text("kid")?.map(str::to_owned);
        if key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return None;
        }
        let (message, signature) = (signed.as_bytes(), decoded(signature)?);
        Some(Self { algorithm, key_id, message, claims, signature })
    }

    /// The claims, if the signature is that of one of `keys`.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn verified(&self, keys: &KeySet) -> Result<Option<Map<String, Value>>, NoKey> {
        keys.verify(self.key_id.as_deref(), self.algorithm, self.message, &self.signature)?;
        Ok(decoded(self.claims).and_then(|claims| strict_json::object(&claims)))
    }
}

/// base64url as RFC 7515 has it: no padding, no line breaks, no bits left over.
fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

impl Rules {
    /// Whether `claims` hold at `now`, seconds of Unix time.
    #[must_use]
    pub fn take(&self, claims: &Map<String, Value>, now: u64) -> bool {
        // Half a second does not matter; what is no number does.
        let moment = |name: &str| match claims.get(name) {
            None => Some(None),
            Some(value) => value.as_f64().filter(|at| at.is_finite()).map(Some),
        };
        let (Some(expires), Some(begins), Some(issued)) = (moment("exp"), moment("nbf"), moment("iat"))
        else {
            return false;
        };
        let (earliest, latest) = (now.saturating_sub(self.skew) as f64, now.saturating_add(self.skew) as f64);
        claims.get("iss").and_then(Value::as_str) == Some(&self.issuer)
            && expires.is_some_and(|expires| expires > earliest)
            && begins.is_none_or(|begins| begins <= latest)
            && issued.is_none_or(|issued| issued <= latest)
            && (self.audiences.is_empty() || self.is_for_us(claims.get("aud")))
    }

    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        let ours = |text: &str| self.audiences.iter().any(|own| own == text);
        match audience {
            Some(Value::String(one)) => ours(one),
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string) && all.iter().filter_map(Value::as_str).any(ours)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
