//! `circuit_breaker`, judged: when an endpoint's breaker opens and closes.

use std::time::Duration;

use super::findings::{Findings, Place};
use super::services::MAX_COUNT;
use crate::config::{self, Window, WindowSpans};

/// The most results over which a rate can be taken.
pub const MAX_WINDOW_REQUESTS: u32 = 4_096;
/// What a rate is taken over where nothing is said, and what it needs to mean anything.
const FEW: u32 = 20;

/// When an endpoint's breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Consecutive failures that open it.
    pub failure_threshold: u32,
    /// How long it stays open.
    pub recovery_timeout: Duration,
    /// Probes at once while half open.
    pub half_open_max_calls: u32,
    /// Consecutive successes that close it.
    pub success_threshold: u32,
    /// The rate of failures that opens it; absent: none does.
    pub rate: Option<FailureRate>,
}

/// A rate of failures over the last results. Where both a number and a time are given, either trips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// The share that is too much, above 0 to 1.
    pub rate: f64,
    /// Over so many results, at most [`MAX_WINDOW_REQUESTS`].
    pub requests: Option<u32>,
    /// Over so long.
    pub duration: Option<Duration>,
    /// Fewer results mean nothing; a number of results that is smaller is enough when it is full.
    pub min_requests: u32,
}

/// What holds where nothing is said.
pub(super) fn defaults() -> config::CircuitBreaker {
    config::CircuitBreaker {
        enabled: Some(true),
        failure_threshold: Some(5),
        recovery_timeout_ms: Some(60_000),
        half_open_max_calls: Some(1),
        success_threshold: Some(2),
        ..config::CircuitBreaker::default()
    }
}

/// Reports what is impossible.
pub(super) fn judge(given: &config::CircuitBreaker, at: &Place, findings: &mut Findings) {
    let counts = [
        ("failure_threshold", given.failure_threshold),
        ("half_open_max_calls", given.half_open_max_calls),
        ("success_threshold", given.success_threshold),
        ("min_requests", given.min_requests),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            findings.range(&at.at(key), count, 1..=MAX_COUNT);
        }
    }
    if let Some(ms) = given.recovery_timeout_ms {
        findings.duration(&at.at("recovery_timeout_ms"), ms, 1);
    }
    if let Some(rate) = given.rate.filter(|rate| !(*rate > 0.0 && *rate <= 1.0)) {
        findings.add(&at.at("rate"), format!("{rate} is out of range: above 0, to 1"));
    }
    judge_window(given, at, findings);
}

fn judge_window(given: &config::CircuitBreaker, at: &Place, findings: &mut Findings) {
    let (window, spans) = (at.at("window"), spans(given.window.as_ref()));
    let place =
        |key| if matches!(given.window, Some(Window::Spans(_))) { window.at(key) } else { window.clone() };
    if let Some(requests) = spans.requests {
        findings.range(&place("requests"), requests, 1..=MAX_WINDOW_REQUESTS);
        if let Some(least) = given.min_requests.filter(|least| *least > requests) {
            let message = format!("{least} are more than the window holds ({requests})");
            findings.add(&at.at("min_requests"), message);
        }
    }
    if let Some(ms) = spans.duration_ms {
        findings.duration(&place("duration_ms"), ms, 10);
        if given.window_ms.is_some() {
            findings.add(&at.at("window_ms"), "window says how long already");
        }
    }
    if let Some(ms) = given.window_ms {
        findings.duration(&at.at("window_ms"), ms, 10);
    }
}

/// The values of a configuration in which [`judge`] found nothing.
pub(super) fn of(given: &config::CircuitBreaker) -> Option<Breaker> {
    let breaker = Breaker {
        failure_threshold: given.failure_threshold?,
        recovery_timeout: Duration::from_millis(given.recovery_timeout_ms?),
        half_open_max_calls: given.half_open_max_calls?,
        success_threshold: given.success_threshold?,
        rate: rate(given),
    };
    given.enabled?.then_some(breaker)
}

/// Any key of it asks for it.
fn rate(given: &config::CircuitBreaker) -> Option<FailureRate> {
    let config::CircuitBreaker { window, window_ms, rate, min_requests, .. } = given;
    if window.is_none() && window_ms.is_none() && rate.is_none() && min_requests.is_none() {
        return None;
    }
    let spans = spans(window.as_ref());
    let duration = spans.duration_ms.or(*window_ms).map(Duration::from_millis);
    let least = min_requests.unwrap_or(FEW);
    let own = || duration.is_none().then(|| least.clamp(FEW, MAX_WINDOW_REQUESTS));
    let requests = spans.requests.or_else(own);
    Some(FailureRate { rate: rate.unwrap_or(0.5), requests, duration, min_requests: least })
}

fn spans(given: Option<&Window>) -> WindowSpans {
    match given {
        None => WindowSpans::default(),
        Some(Window::Requests(requests)) => WindowSpans { requests: Some(*requests), duration_ms: None },
        Some(Window::Spans(spans)) => spans.clone(),
    }
}
