//! Routes as the data path reads them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use protocol::id::ServiceName;

pub use super::pattern::Pattern;
use super::{Answer, Cohort, Endpoint, Fault, HeaderEdits, Mirror, Priority, Rewrite};
use crate::identity::allowed::Principal;
use crate::security::cors::Cors;

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name: a bounded label.
    pub name: String,
    /// Hosts, lower case, without port; `*.example.com` matches one or more labels before it;
    /// `cart.*` matches the first label `cart`, alone or with more after it (routes made from
    /// services have it); empty means any.
    pub hosts: Vec<String>,
    /// What it takes: a request that any of these takes; never empty.
    pub matches: Vec<Match>,
    /// Where it goes, by weight; 0 means none.
    pub split: Vec<SplitTarget>,
    /// It answers itself, instead of leading anywhere.
    pub answer: Option<Answer>,
    /// Protocols that a connection may go on in.
    pub upgrades: Vec<String>,
    /// What the endpoint is asked for instead.
    pub rewrite: Option<Rewrite>,
    /// Changes of the request's header.
    pub request_headers: Option<HeaderEdits>,
    /// Changes of the response's header.
    pub response_headers: Option<HeaderEdits>,
    /// Copies of its requests.
    pub mirror: Option<Mirror>,
    /// By what a client keeps its share of the split.
    pub cohort: Option<Cohort>,
    /// What is done to requests on purpose.
    pub fault: Option<Fault>,
    /// From the request's head to the response's head; absent: the service's.
    pub request_timeout: Option<Duration>,
    /// For one attempt; absent: the service's.
    pub per_try: Option<Duration>,
    /// Whether its requests may be sent again.
    pub retries: bool,
    /// Who goes first.
    pub priority: Priority,
    /// What pages of other origins may do; absent: the proxy takes no part in it.
    pub cors: Option<Arc<Cors>>,
    /// By whom who asks must be known; absent: as for all routes that do not say.
    pub authentication: Option<Vec<String>>,
}

/// One alternative of what a route takes: everything in it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The path.
    pub path: PathMatch,
    /// Methods; empty means any.
    pub methods: Vec<Method>,
    /// Headers.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// Query parameters.
    pub query: Vec<(String, ValueMatch)>,
    /// Cookies.
    pub cookies: Vec<(String, ValueMatch)>,
    /// Only calls of gRPC, by their content type.
    pub grpc: bool,
    /// Only of one of these workloads; absent: of anyone.
    pub principals: Option<Vec<Principal>>,
}

/// What a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// Exactly this.
    Exact(String),
    /// This, or this followed by `/…`.
    Prefix(String),
    /// All of it matches.
    Regex(Pattern),
}

/// What a header, query parameter or cookie must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// Exactly this.
    Exact(String),
    /// All of it matches.
    Regex(Pattern),
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
}

/// One share of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitTarget {
    /// The service.
    pub service: ServiceName,
    /// Only its endpoints of this version.
    pub version: Option<String>,
    /// Only its endpoints with all of these labels.
    pub metadata: BTreeMap<String, String>,
    /// Share relative to the others.
    pub weight: u32,
}

impl Default for Route {
    /// Takes everything, leads nowhere.
    fn default() -> Self {
        Self {
            name: String::new(),
            hosts: Vec::new(),
            matches: vec![Match::default()],
            split: Vec::new(),
            answer: None,
            upgrades: vec!["websocket".to_owned()],
            rewrite: None,
            request_headers: None,
            response_headers: None,
            mirror: None,
            cohort: None,
            fault: None,
            request_timeout: None,
            per_try: None,
            retries: true,
            priority: Priority::default(),
            cors: None,
            authentication: None,
        }
    }
}

impl Default for Match {
    /// Every request.
    fn default() -> Self {
        Self {
            path: PathMatch::Prefix("/".to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            grpc: false,
            principals: None,
        }
    }
}

impl SplitTarget {
    /// All endpoints of `service`.
    #[must_use]
    pub fn whole(service: ServiceName) -> Self {
        Self { service, version: None, metadata: BTreeMap::new(), weight: 1 }
    }

    /// Whether `endpoint`, of its service, is meant.
    #[must_use]
    pub fn names(&self, endpoint: &Endpoint) -> bool {
        let labelled = |(key, value)| endpoint.metadata.get(key) == Some(value);
        self.version.as_ref().is_none_or(|version| endpoint.version == *version)
            && self.metadata.iter().all(labelled)
    }
}

impl ValueMatch {
    /// Whether a value, or that there is none, is what is wanted.
    #[must_use]
    pub fn takes(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Self::Absent, value) => value.is_none(),
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::Exact(wanted), Some(value)) => wanted.as_bytes() == value,
            (Self::Regex(pattern), Some(value)) => pattern.takes(value),
        }
    }
}
