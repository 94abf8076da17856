//! Somebody who is known.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::settings::Provider;

/// See the module.
#[derive(Debug, Clone)]
pub struct Principal {
    /// `PROVIDER:ID`: one name for one principal, whoever else is called so elsewhere.
    pub name: String,
    /// Who vouches for it.
    pub provider: String,
    /// What it is called there.
    pub id: String,
    /// What else is said of it.
    pub claims: Arc<Map<String, Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Principal {
    /// One of whom only the name is known.
    #[must_use]
    pub fn named(provider: &Provider, id: String) -> Self {
        let headers = provider.headers.iter().filter(|(claim, _)| claim == "sub");
        let headers = headers.filter_map(|(_, name)| Some((name.clone(), HeaderValue::from_str(&id).ok()?)));
        let headers = headers.collect();
        let name = format!("{}:{id}", provider.name);
        Self { name, provider: provider.name.clone(), id, claims: Arc::default(), headers }
    }

    /// One of whom a test says this.
    #[cfg(test)]
    #[must_use]
    pub fn of(provider: &str, id: &str, claims: Arc<Map<String, Value>>) -> Self {
        let name = format!("{provider}:{id}");
        Self { name, provider: provider.to_owned(), id: id.to_owned(), claims, headers: Vec::new() }
    }

    /// The one of whom a token says this; `None` where it does not say whom it is about.
    #[must_use]
    pub fn of_claims(provider: &Provider, name_in: &str, claims: Arc<Map<String, Value>>) -> Option<Self> {
        let id = claims.get(name_in)?.as_str().filter(|id| !id.is_empty())?.to_owned();
        let told = |(claim, name): &(String, HeaderName)| Some((name.clone(), value(claims.get(claim)?)?));
        let headers = provider.headers.iter().filter_map(told).collect();
        let name = format!("{}:{id}", provider.name);
        Some(Self { name, provider: provider.name.clone(), id, claims, headers })
    }

    /// Tells the endpoint of it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.headers.iter().for_each(|(name, value)| drop(headers.insert(name.clone(), value.clone())));
    }

    /// The texts that a claim is, or holds: groups, roles; scopes are one text with spaces (RFC 8693 section 4.2).
    pub fn texts<'a>(&'a self, claim: &'a str) -> impl Iterator<Item = &'a str> {
        let spaced = matches!(claim, "scope" | "scp");
        let (one, many) = match self.claims.get(claim) {
            Some(Value::String(text)) => (Some(text.as_str()), &[][..]),
            Some(Value::Array(all)) => (None, all.as_slice()),
            _ => (None, &[][..]),
        };
        let one = one.into_iter().flat_map(move |text| text.split(move |sign| spaced && sign == ' '));
        one.chain(many.iter().filter_map(Value::as_str))
    }
}

/// A claim as a field's value: texts as they are, lists of plain texts with commas, all else as JSON. What no
/// field can hold is not told.
fn value(claim: &Value) -> Option<HeaderValue> {
    let plain = |item: &Value| item.as_str().filter(|text| !text.contains(',')).map(str::to_owned);
    let text = match claim {
        Value::String(text) => text.clone(),
        Value::Array(all) => match all.iter().map(plain).collect::<Option<Vec<_>>>() {
            Some(texts) => texts.join(","),
            None => claim.to_string(),
        },
        other => other.to_string(),
    };
    HeaderValue::from_bytes(text.as_bytes()).ok()
}
