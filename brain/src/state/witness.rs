//! What each proxy saw of a service in the last seconds: proxies that disagree are a contradiction.

use std::collections::BTreeMap;

use super::series::Tally;

/// The most proxies whose views of one service are kept apart.
const MAX_WITNESSES: usize = 64;
/// A witness's memory fades by this factor a window: it is about the last few seconds.
const FADE: f64 = 0.6;

/// One proxy's view, fading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Witness {
    /// Requests.
    pub n: f64,
    /// Of them failed.
    pub failed: f64,
    /// Of them slow.
    pub slow: f64,
    /// End of its newest window.
    pub end_ms: i64,
}

/// Notes what `proxy` saw in one cell of its window that ended at `end_ms`.
pub(super) fn testify(witnesses: &mut BTreeMap<String, Witness>, proxy: &str, end_ms: i64, tally: Tally) {
    if !witnesses.contains_key(proxy) {
        if witnesses.len() >= MAX_WITNESSES {
            return;
        }
        witnesses.insert(proxy.to_owned(), Witness { end_ms, ..Witness::default() });
    }
    let Some(seen) = witnesses.get_mut(proxy) else { return };
    if end_ms > seen.end_ms {
        (seen.n, seen.failed, seen.slow) = (seen.n * FADE, seen.failed * FADE, seen.slow * FADE);
        seen.end_ms = end_ms;
    }
    seen.n += tally.n as f64;
    seen.failed += tally.failed as f64;
    seen.slow += tally.slow as f64;
}
