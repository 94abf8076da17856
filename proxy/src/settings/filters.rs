//! What a route does beside forwarding, as the data path reads it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{KeySource, SplitTarget, ValueMatch};

/// A route that answers itself.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// Always the same response.
    Respond(Respond),
}

/// See [`crate::config::Redirect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// A host without port.
    pub host: Option<String>,
    /// A port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<PathEdit>,
    /// The response's status.
    pub status: StatusCode,
}

/// A response of the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
    /// Its body's type.
    pub content_type: HeaderValue,
}

/// What the endpoint is asked for instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Another path.
    pub path: Option<PathEdit>,
    /// Another host.
    pub host: Option<HeaderValue>,
}

/// A path in place of another. Both are paths without a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    /// In place of the whole.
    Full(String),
    /// In place of the prefix that the route matched; without a slash at its end.
    Prefix(String),
}

/// Changes of header fields, in the order in which they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Taken away.
    pub remove: Vec<HeaderName>,
    /// Instead of what is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Beside what is there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// Copies of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Where they go; its weight says nothing.
    pub target: SplitTarget,
    /// Share of the requests, 0 to 1.
    pub share: f64,
    /// Requests with a longer body are not copied.
    pub max_body_bytes: usize,
    /// Copies on their way at once, per worker.
    pub max_in_flight: u32,
}

/// By what a client keeps its share of the split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cohort {
    /// By what a client is known.
    pub key: KeySource,
    /// A header that may name the version to be served by.
    pub pin: Option<HeaderName>,
}

/// What is done to requests on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// So long, to such a share (0 to 1).
    pub delay: Option<(Duration, f64)>,
    /// In this way, to such a share (0 to 1).
    pub abort: Option<(Abort, f64)>,
    /// Only to requests with these headers.
    pub only_with: Vec<(HeaderName, ValueMatch)>,
}

/// How a request is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// With this status.
    Status(StatusCode),
    /// Without an answer.
    Reset,
}
