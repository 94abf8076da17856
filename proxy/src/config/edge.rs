//! Parts of `server` that say what a stranger may send: paths and HTTP/2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is made of a request's path, before it is routed and on its way to the endpoint.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// `//` counts and is forwarded as `/` (nginx's default; Envoy's is not to).
    pub merge_slashes: bool,
    /// `%2F`, `%5C` and `\` in a path: endpoints disagree whether they divide segments.
    pub escaped_slashes: EscapedSlashes,
    /// `.` and `..`, also written `%2e`. Above the root they are always refused.
    pub dot_segments: DotSegments,
}

impl Default for PathRules {
    fn default() -> Self {
        Self {
            merge_slashes: true,
            escaped_slashes: EscapedSlashes::Reject,
            dot_segments: DotSegments::Resolve,
        }
    }
}

/// What is done with `%2F`, `%5C` and `\`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscapedSlashes {
    /// 400.
    Reject,
    /// Forwarded as they are; they divide nothing here.
    Keep,
    /// Each becomes `/`, for routing and for the endpoint.
    Decode,
}

/// What is done with `.` and `..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DotSegments {
    /// Taken out by RFC 3986 section 5.2.4.
    Resolve,
    /// 400.
    Reject,
}

/// What one HTTP/2 connection of a client may ask for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http2 {
    /// Requests at once.
    pub max_concurrent_streams: u32,
    /// Bytes of a request's body that may be under way, 65535 to 2147483647.
    pub stream_window_bytes: u32,
    /// The same for all requests of a connection together.
    pub connection_window_bytes: u32,
    /// Frames a second that carry nothing (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty or unknown ones)
    /// beyond what requests and bodies explain; a connection that sends ten times as many at once is closed.
    pub max_idle_frames_per_second: u32,
    /// Streams a second that the client resets; four times as many at once close the connection
    /// (CVE-2023-44487).
    pub max_resets_per_second: u32,
    /// Streams that this proxy had to reset for the client's faults, over a connection's life
    /// (CVE-2025-8671).
    pub max_faulty_streams: u32,
    /// A PING is sent so often to a client that is quiet; 0: never.
    pub keepalive_interval_ms: u64,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 256,
            stream_window_bytes: 1_048_576,
            connection_window_bytes: 2_097_152,
            max_idle_frames_per_second: 100,
            max_resets_per_second: 50,
            max_faulty_streams: 256,
            keepalive_interval_ms: 0,
        }
    }
}
