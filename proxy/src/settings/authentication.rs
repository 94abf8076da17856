//! `security.authentication`, judged.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::findings::{Findings, Place};
use super::identities::principals;
use super::introspection;
use super::security::Reader;
use crate::config;
use crate::identity::allowed::Principal;
use crate::security::authentication::{
    Algorithm, ApiKeys, Introspector, KeySet, KeyUrl, MAX_JWKS_BYTES, MAX_KEYS, MAX_KEYS_BYTES, Rules,
    key_hash, parse_keys,
};
use crate::security::remote::Remote;

/// For a set of keys to be fetched.
const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// Fields that are no place to tell claims in: they say how the message is framed, routed or authenticated.
const NOT_FOR_CLAIMS: [&str; 8] =
    ["host", "content-length", "transfer-encoding", "connection", "authorization", "cookie", "te", "upgrade"];

/// Who asks.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// Who vouches, in the order in which they are asked.
    pub providers: Vec<Arc<Provider>>,
    /// For routes that do not say.
    pub required: Vec<String>,
}

/// One who vouches.
#[derive(Debug)]
pub struct Provider {
    /// A bounded label.
    pub name: String,
    /// For what.
    pub kind: ProviderKind,
    /// Where the credential stands.
    pub credential: Credential,
    /// Whether it goes on to endpoints.
    pub forward: bool,
    /// What endpoints are told, by claim.
    pub headers: Vec<(String, HeaderName)>,
}

/// Kinds of credentials.
#[derive(Debug)]
pub enum ProviderKind {
    /// Tokens.
    Jwt(Box<Jwt>),
    /// Tokens of which the server is asked that has made them.
    Introspection(Asked),
    /// Keys.
    ApiKeys(Keys),
    /// Certificates, of one of these workloads; none: of any that the listener lets in.
    Certificate(Vec<Principal>),
}

/// Tokens that are asked about.
#[derive(Debug)]
pub struct Asked {
    /// Who is asked.
    pub server: Arc<Introspector>,
    /// What says who it is.
    pub principal_claim: String,
}

/// Tokens.
#[derive(Debug)]
pub struct Jwt {
    /// What they must be.
    pub rules: Rules,
    /// The claim that says who it is.
    pub principal_claim: String,
    /// With what they are verified.
    pub keys: TokenKeys,
}

/// Keys that clients were given.
#[derive(Debug)]
pub struct Keys {
    /// All of them.
    pub keys: ApiKeys,
}

/// Where keys come from.
#[derive(Debug)]
pub enum TokenKeys {
    /// They were read.
    Fixed(Arc<KeySet>),
    /// They are fetched.
    Url(KeyUrl),
}

/// Where a credential stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A field of its own.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// None: it is the connection's.
    Connection,
}

impl Authentication {
    /// The fields in which endpoints are told of who asks.
    pub fn told(&self) -> impl Iterator<Item = &HeaderName> {
        self.providers.iter().flat_map(|provider| &provider.headers).map(|(_, name)| name)
    }

    /// Reports names that are no provider's.
    pub(super) fn knows(&self, names: &[String], at: &Place, findings: &mut Findings) {
        for (n, name) in names.iter().enumerate() {
            if !self.providers.iter().any(|provider| provider.name == *name) {
                findings.add(&at.at(n), format!("no provider of security.authentication is called {name:?}"));
            }
        }
    }
}

impl Credential {
    fn named(text: &str) -> Option<Self> {
        if text == "bearer" {
            return Some(Self::Bearer);
        }
        let header = || text.strip_prefix("header:")?.parse().ok().map(Self::Header);
        let cookie = || {
            let name: HeaderName = text.strip_prefix("cookie:")?.parse().ok()?;
            // A cookie's name is a token as a field's is, but its case counts.
            (!name.as_str().is_empty()).then(|| Self::Cookie(text["cookie:".len()..].to_owned()))
        };
        header().or_else(cookie)
    }
}

pub(super) fn authentication(
    given: &config::Authentication,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Authentication {
    let mut providers = Vec::with_capacity(given.providers.len());
    for (name, provider) in &given.providers {
        let at = at.at("providers").at(name);
        findings.name(&at, name);
        providers.extend(one(name, provider, &at, reader, findings).map(Arc::new));
    }
    let all = Authentication { providers, required: given.required.clone() };
    if given.providers.len() == all.providers.len() {
        all.knows(&given.required, &at.at("required"), findings);
    }
    all
}

fn one(
    name: &str,
    given: &config::CredentialProvider,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Provider> {
    let (kind, usual) = match (&given.jwt, &given.api_keys, &given.introspection, &given.mtls) {
        (None, None, None, Some(mtls)) => {
            let allowed = principals(&mtls.allow, &at.at("mtls").at("allow"), findings);
            if allowed.len() < mtls.allow.len() {
                return None;
            }
            (Some(ProviderKind::Certificate(allowed)), "connection")
        }
        (None, None, Some(asked), None) => {
            let asked = introspection::introspection(asked, &at.at("introspection"), reader, findings);
            (asked.map(ProviderKind::Introspection), "bearer")
        }
        (Some(jwt), None, None, None) => (
            self::jwt(jwt, &at.at("jwt"), reader, findings).map(|jwt| ProviderKind::Jwt(Box::new(jwt))),
            "bearer",
        ),
        (None, Some(keys), None, None) => {
            let keys = api_keys(keys, &at.at("api_keys"), reader, findings);
            (Some(ProviderKind::ApiKeys(Keys { keys })), "header:x-api-key")
        }
        _ => {
            findings.add(at, "a provider has exactly one of jwt, introspection, api_keys and mtls");
            return None;
        }
    };
    let written = given.credential.as_deref().unwrap_or(usual);
    let certificate = given.mtls.is_some();
    if certificate && given.credential.is_some() {
        findings.add(&at.at("credential"), "a certificate stands in no field");
    }
    let credential = if certificate { Some(Credential::Connection) } else { Credential::named(written) };
    if credential.is_none() {
        let message = format!("{written:?} is no place: give bearer, header:NAME or cookie:NAME");
        findings.add(&at.at("credential"), message);
    }
    let at = at.at("claims_to_headers");
    let mut headers = Vec::with_capacity(given.claims_to_headers.len());
    for (claim, header) in &given.claims_to_headers {
        match header.parse::<HeaderName>().ok().filter(|name| !NOT_FOR_CLAIMS.contains(&name.as_str())) {
            Some(header) => headers.push((claim.clone(), header)),
            None => findings
                .add(&at.at(claim), format!("{header:?} is no header field in which claims can be told")),
        }
    }
    let forward = given.forward.unwrap_or(true);
    Some(Provider { name: name.to_owned(), kind: kind?, credential: credential?, forward, headers })
}

fn jwt(given: &config::Jwt, at: &Place, reader: &mut Reader, findings: &mut Findings) -> Option<Jwt> {
    let mut algorithms = Vec::with_capacity(given.algorithms.len());
    for (n, name) in given.algorithms.iter().enumerate() {
        match Algorithm::named(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                let known: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                let message = format!("{name:?} is no algorithm of public keys: give {}", known.join(", "));
                findings.add(&at.at("algorithms").at(n), message);
            }
        }
    }
    if given.algorithms.is_empty() {
        findings.add(&at.at("algorithms"), "at least one algorithm must be allowed");
    }
    if given.issuer.is_empty() {
        findings.add(&at.at("issuer"), "an issuer may not be empty");
    }
    let (skew, most) = (given.clock_skew_s.unwrap_or(60), given.max_token_bytes.unwrap_or(8_192));
    findings.range(&at.at("clock_skew_s"), skew, 0..=3_600);
    findings.range(&at.at("max_token_bytes"), most, 128..=65_536);
    let keys = key_source(given, &algorithms, at, reader, findings);
    let rules = Rules {
        issuer: given.issuer.clone(),
        audiences: given.audiences.clone(),
        algorithms,
        skew,
        max_bytes: most as usize,
    };
    let principal_claim = given.principal_claim.clone().unwrap_or_else(|| "sub".to_owned());
    Some(Jwt { rules, principal_claim, keys: keys? })
}

fn key_source(
    given: &config::Jwt,
    algorithms: &[Algorithm],
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Option<TokenKeys> {
    let every = given.jwks_refresh_s.unwrap_or(300);
    findings.range(&at.at("jwks_refresh_s"), every, 1..=86_400);
    match (&given.jwks_file, &given.jwks_url) {
        (Some(path), None) => {
            let at = at.at("jwks_file");
            let text = reader.text(path, MAX_JWKS_BYTES, &at, findings)?;
            let keys = KeySet::parse(text.as_bytes(), algorithms);
            let keys = keys.map_err(|why| findings.add(&at, format!("{path}: {why}"))).ok()?;
            Some(TokenKeys::Fixed(Arc::new(keys)))
        }
        (None, Some(url)) => {
            let remote = Remote::new(url, given.jwks_ca_path.as_deref(), FETCH_WITHIN);
            let remote = remote.map_err(|why| findings.add(&at.at("jwks_url"), why)).ok()?;
            let (every, algorithms) = (Duration::from_secs(every), algorithms.to_vec());
            Some(TokenKeys::Url(KeyUrl { remote, every, algorithms }))
        }
        _ => {
            findings.add(at, "exactly one of jwks_file and jwks_url says where the keys are");
            None
        }
    }
}

fn api_keys(given: &config::ApiKeys, at: &Place, reader: &mut Reader, findings: &mut Findings) -> ApiKeys {
    let mut keys = Vec::with_capacity(given.keys.len());
    for (n, key) in given.keys.iter().enumerate() {
        match key_hash(&key.sha256) {
            Some(hash) => keys.push((key.name.clone(), hash)),
            // What stands there may be the key itself: it is not said again.
            None => findings.add(&at.at("keys").at(n).at("sha256"), "this is no SHA-256: give 64 hex digits"),
        }
    }
    if let Some(path) = &given.file {
        let at = at.at("file");
        let text = reader.text(path, MAX_KEYS_BYTES, &at, findings).unwrap_or_default();
        match parse_keys(&text) {
            Ok(more) => keys.extend(more),
            Err(why) => findings.add(&at, format!("{path}: {why}")),
        }
    }
    if keys.len() > MAX_KEYS {
        findings.add(at, format!("{} keys; {MAX_KEYS} are the most", keys.len()));
    }
    ApiKeys(keys)
}
