//! `load_balancing`, judged: how an endpoint is chosen, and who stays with whom.

use std::time::Duration;

use http::HeaderName;

use super::findings::{Findings, Place};
use crate::config::{self, AlgorithmName, HashName, StickySessions};

pub use crate::config::SameSite;

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancing {
    /// By what; a lease may put another in its place, which then goes by the rest.
    pub algorithm: Algorithm,
    /// Draws of [`Algorithm::Random`].
    pub choices: u32,
    /// Of [`Algorithm::ConsistentHash`] and of affinity by key.
    pub hash: HashTable,
    /// What [`Algorithm::ConsistentHash`] hashes.
    pub hash_key: KeySource,
    /// How far above its share of what is in flight an endpoint may be and still be hashed to.
    pub load_factor: Option<f64>,
    /// Who stays with whom; absent: nobody.
    pub affinity: Option<Affinity>,
    /// The proxy's zone; empty: none is preferred.
    pub zone: String,
    /// Absent: everyone is full at once.
    pub slow_start: Option<SlowStart>,
    /// Percent of endpoints that must be healthy for health to be believed.
    pub panic_percent: u32,
}

impl Balancing {
    /// Whether clients are given a cookie.
    #[must_use]
    pub fn gives_cookies(&self) -> bool {
        self.affinity.as_ref().is_some_and(|affinity| affinity.cookie.is_some())
    }
}

/// By what an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted round robin under its plain name: an action may set weights at any time.
    RoundRobin,
    /// Smooth weighted round robin (nginx's), which is plain round robin where weights are equal.
    WeightedRoundRobin,
    /// Fewest requests in flight per weight, of all endpoints.
    LeastConnections,
    /// The same key to the same endpoint.
    ConsistentHash,
    /// Drawn by weight, once or several times.
    Random,
    /// The lower expected wait of two drawn by weight.
    PeakEwma,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::ConsistentHash,
        Self::Random,
        Self::PeakEwma,
    ];

    /// The one that is called so in the file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The name as it stands in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::ConsistentHash => "consistent_hash",
            Self::Random => "random",
            Self::PeakEwma => "peak_ewma",
        }
    }
}

/// How a hash finds its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashTable {
    /// Points on a circle, as ketama has them.
    Ring,
    /// Google's lookup table.
    Maglev,
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A header's first value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(String),
    /// A query parameter's first value, as it was sent.
    Query(String),
    /// The path, as it was sent.
    Path,
    /// The client's address.
    ClientIp,
}

/// Who stays with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// Hashed where the request has it.
    pub key: Option<KeySource>,
    /// Set for a client that is not known by it.
    pub cookie: Option<SessionCookie>,
}

/// The cookie by which a client is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    /// Its name.
    pub name: String,
    /// All that follows the value in `Set-Cookie`, from the first `;`.
    pub attributes: String,
}

/// How an endpoint comes to its full share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// Over so long.
    pub window: Duration,
    /// 1 in a straight line, more is faster at first.
    pub aggression: f64,
}

/// What holds where nothing is said.
pub(super) fn defaults() -> config::LoadBalancing {
    config::LoadBalancing {
        algorithm: Some(AlgorithmName::RoundRobin),
        choices: Some(2),
        hash: Some(HashName::Maglev),
        slow_start_ms: Some(0),
        slow_start_aggression: Some(1.0),
        panic_threshold: Some(50),
        ..config::LoadBalancing::default()
    }
}

/// Reports what is impossible.
pub(super) fn judge(given: &config::LoadBalancing, at: &Place, findings: &mut Findings) {
    for (key, text) in [("hash_key", &given.hash_key), ("session_affinity_key", &given.session_affinity_key)]
    {
        let source = text.as_ref().map(|text| (text, key_source(text)));
        let message = match source {
            Some((text, None)) => format!(
                "{text:?} names nothing of a request: give header:NAME, cookie:NAME, query:NAME, path or ip"
            ),
            Some((_, Some(KeySource::Path))) if key == "session_affinity_key" => {
                "a path does not know a client again: give header:NAME, cookie:NAME, query:NAME or ip"
                    .to_owned()
            }
            _ => continue,
        };
        findings.add(&at.at(key), message);
    }
    if let Some(choices) = given.choices {
        findings.range(&at.at("choices"), choices, 1..=8);
    }
    for (key, value, range) in [
        ("hash_load_factor", given.hash_load_factor, 1.0..=10.0),
        ("slow_start_aggression", given.slow_start_aggression, 0.1..=10.0),
    ] {
        value.iter().for_each(|value| findings.range(&at.at(key), *value, range.clone()));
    }
    if let Some(percent) = given.panic_threshold {
        findings.range(&at.at("panic_threshold"), percent, 0..=100);
    }
    if let Some(ms) = given.slow_start_ms {
        findings.duration(&at.at("slow_start_ms"), ms, 0);
    }
    given.zone.iter().for_each(|zone| findings.name(&at.at("zone"), zone));
    if let Some(StickySessions::Cookie(cookie)) = &given.sticky_sessions {
        judge_cookie(cookie, &at.at("sticky_sessions"), findings);
    }
}

fn judge_cookie(given: &config::SessionCookie, at: &Place, findings: &mut Findings) {
    if !is_token(&given.cookie) {
        findings.add(&at.at("cookie"), format!("{:?} is no cookie's name", given.cookie));
    }
    // RFC 6265: a path-value is any character but controls and the semicolon.
    let fits = |c: char| c.is_ascii() && !c.is_ascii_control() && c != ';';
    if !given.path.starts_with('/') || !given.path.chars().all(fits) {
        findings.add(&at.at("path"), format!("{:?} is no cookie's path: it begins with /", given.path));
    }
    if given.same_site == SameSite::None && !given.secure {
        findings.add(&at.at("same_site"), "browsers refuse same_site none without secure");
    }
    if let Some(ms) = given.ttl_ms {
        findings.duration(&at.at("ttl_ms"), ms, 1_000);
    }
}

/// The values of a configuration in which [`judge`] found nothing.
pub(super) fn of(given: &config::LoadBalancing) -> Balancing {
    let algorithm = match given.algorithm.unwrap_or(AlgorithmName::RoundRobin) {
        AlgorithmName::RoundRobin => Algorithm::RoundRobin,
        AlgorithmName::WeightedRoundRobin => Algorithm::WeightedRoundRobin,
        AlgorithmName::LeastConnections => Algorithm::LeastConnections,
        AlgorithmName::ConsistentHash => Algorithm::ConsistentHash,
        AlgorithmName::Random => Algorithm::Random,
        AlgorithmName::PeakEwma => Algorithm::PeakEwma,
    };
    let affinity_key = given.session_affinity_key.as_deref().and_then(key_source);
    let hash_key = given.hash_key.as_deref().and_then(key_source).or_else(|| affinity_key.clone());
    let window = Duration::from_millis(given.slow_start_ms.unwrap_or(0));
    Balancing {
        algorithm,
        choices: given.choices.unwrap_or(2),
        hash: match given.hash {
            Some(HashName::Ring) => HashTable::Ring,
            _ => HashTable::Maglev,
        },
        hash_key: hash_key.unwrap_or(KeySource::ClientIp),
        load_factor: given.hash_load_factor,
        affinity: affinity(given.sticky_sessions.as_ref(), affinity_key),
        zone: given.zone.clone().unwrap_or_default(),
        slow_start: (!window.is_zero())
            .then(|| SlowStart { window, aggression: given.slow_start_aggression.unwrap_or(1.0) }),
        panic_percent: given.panic_threshold.unwrap_or(50),
    }
}

/// A key of the client's own is hashed; a cookie that it does not have is given to it.
fn affinity(sticky: Option<&StickySessions>, key: Option<KeySource>) -> Option<Affinity> {
    let own = config::SessionCookie::default();
    let given = match sticky {
        Some(StickySessions::Switch(false)) => return None,
        Some(StickySessions::Cookie(cookie)) => Some(cookie),
        Some(StickySessions::Switch(true)) => Some(&own),
        None if key.is_some() => Some(&own),
        None => return None,
    };
    let cookie = match &key {
        None => given.map(|given| cookie(&given.cookie, given)),
        Some(KeySource::Cookie(name)) => given.map(|given| cookie(name, given)),
        Some(_) => None,
    };
    Some(Affinity { key, cookie })
}

fn cookie(name: &str, given: &config::SessionCookie) -> SessionCookie {
    let age = given.ttl_ms.map(|ms| format!("; Max-Age={}", ms / 1_000)).unwrap_or_default();
    let flag = |on: bool, text: &'static str| if on { text } else { "" };
    let attributes = format!(
        "; Path={}{age}{}{}; SameSite={}",
        given.path,
        flag(given.secure, "; Secure"),
        flag(given.http_only, "; HttpOnly"),
        match given.same_site {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => "None",
        }
    );
    SessionCookie { name: name.to_owned(), attributes }
}

pub(super) fn key_source(text: &str) -> Option<KeySource> {
    let header = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok().map(KeySource::Header);
    match text.split_once(':') {
        Some(("header", name)) => header(name),
        Some(("cookie", name)) => is_token(name).then(|| KeySource::Cookie(name.to_owned())),
        Some(("query", name)) => (!name.is_empty()).then(|| KeySource::Query(name.to_owned())),
        Some(_) => None,
        None => match text {
            "ip" | "client_ip" => Some(KeySource::ClientIp),
            "path" => Some(KeySource::Path),
            name => header(name),
        },
    }
}

/// RFC 9110's token, of which cookies' names are made.
fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}
