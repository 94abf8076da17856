//! What a stranger may send, judged.

use std::time::Duration;

use super::findings::{Findings, Place};
use crate::config::{self, PathRules};

/// What a request may be.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Header fields in one request.
    pub max_headers: usize,
    /// Bytes of a request target.
    pub max_uri_bytes: usize,
    /// Bytes of a request body; absent: any.
    pub max_body_bytes: Option<u64>,
    /// Over so long a stretch a body keeps the rate below.
    pub body_timeout: Duration,
    /// Bytes a second; 0: any.
    pub min_body_rate: u32,
    /// Header names with `_` are taken.
    pub allow_underscores: bool,
    /// What is made of a path.
    pub path: PathRules,
}

/// What an HTTP/2 connection may ask for; see [`config::Http2`].
#[derive(Debug, Clone, Copy)]
pub struct Http2 {
    /// Requests at once.
    pub max_concurrent_streams: u32,
    /// Bytes of one request's body under way.
    pub stream_window_bytes: u32,
    /// Bytes of all requests' bodies under way.
    pub connection_window_bytes: u32,
    /// Frames a second that carry nothing.
    pub max_idle_frames_per_second: u32,
    /// Streams a second that the client resets.
    pub max_resets_per_second: u32,
    /// Streams reset for the client's faults.
    pub max_faulty_streams: u32,
    /// Between PINGs to a quiet client; absent: none.
    pub keepalive_interval: Option<Duration>,
}

impl Default for Edge {
    fn default() -> Self {
        shaped(&config::Server::default())
    }
}

impl Default for Http2 {
    fn default() -> Self {
        of_http2(&config::Http2::default())
    }
}

pub(super) fn edge(config: &config::Server, at: &Place, findings: &mut Findings) -> Edge {
    findings.range(&at.at("max_headers"), config.max_headers, 1..=1_000);
    findings.range(&at.at("max_uri_bytes"), config.max_uri_bytes, 64..=65_534);
    findings.range(&at.at("min_body_rate"), config.min_body_rate, 0..=1_000_000_000);
    findings.duration(&at.at("body_timeout_ms"), config.body_timeout_ms, 1);
    shaped(config)
}

pub(super) fn http2(config: &config::Http2, at: &Place, findings: &mut Findings) -> Http2 {
    let windows = 65_535..=2_147_483_647;
    for (key, value, range) in [
        ("max_concurrent_streams", config.max_concurrent_streams, 1..=65_536),
        ("stream_window_bytes", config.stream_window_bytes, windows.clone()),
        ("connection_window_bytes", config.connection_window_bytes, windows),
        ("max_idle_frames_per_second", config.max_idle_frames_per_second, 1..=1_000_000),
        ("max_resets_per_second", config.max_resets_per_second, 1..=1_000_000),
        ("max_faulty_streams", config.max_faulty_streams, 1..=1_000_000),
    ] {
        findings.range(&at.at(key), value, range);
    }
    if config.keepalive_interval_ms > 0 {
        findings.duration(&at.at("keepalive_interval_ms"), config.keepalive_interval_ms, 1);
    }
    of_http2(config)
}

fn shaped(config: &config::Server) -> Edge {
    Edge {
        max_headers: config.max_headers as usize,
        max_uri_bytes: config.max_uri_bytes as usize,
        max_body_bytes: config.max_body_bytes,
        body_timeout: Duration::from_millis(config.body_timeout_ms),
        min_body_rate: config.min_body_rate,
        allow_underscores: config.allow_underscores,
        path: config.path,
    }
}

fn of_http2(config: &config::Http2) -> Http2 {
    let interval = Duration::from_millis(config.keepalive_interval_ms);
    Http2 {
        max_concurrent_streams: config.max_concurrent_streams,
        stream_window_bytes: config.stream_window_bytes,
        connection_window_bytes: config.connection_window_bytes,
        max_idle_frames_per_second: config.max_idle_frames_per_second,
        max_resets_per_second: config.max_resets_per_second,
        max_faulty_streams: config.max_faulty_streams,
        keepalive_interval: Some(interval).filter(|interval| !interval.is_zero()),
    }
}
