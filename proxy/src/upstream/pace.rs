//! How fast a client sends a request's body, looked at now and then by its connection's one tick.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// See the module. Envoy has no such bound; Apache's `RequestReadTimeout` is the same.
#[derive(Debug, Default)]
pub struct Pace {
    waker: RefCell<Option<Waker>>,
    /// Since when, and from how many bytes on, it is measured.
    measured: Cell<Option<(Instant, u64)>>,
}

impl Pace {
    /// Who is woken when the client is given up.
    pub fn wait(&self, cx: &Context<'_>) {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
    }

    /// Goes on with the upload, which will find out why.
    pub fn wake(&self) {
        self.waker.borrow_mut().take().into_iter().for_each(Waker::wake);
    }

    /// Measures anew: it was not the client who kept all waiting.
    pub fn restart(&self) {
        self.measured.set(None);
    }

    /// Whether fewer than `rate` bytes a second came over a stretch as long as `stretch`, when there are `bytes`
    /// by now in all.
    pub fn is_too_slow(&self, bytes: u64, now: Instant, stretch: Duration, rate: u32) -> bool {
        let (since, before) = self.measured.get().unwrap_or((now, bytes));
        let waited = now.saturating_duration_since(since);
        if waited < stretch {
            self.measured.set(Some((since, before)));
            return false;
        }
        self.measured.set(Some((now, bytes)));
        #[allow(clippy::cast_precision_loss)]
        let came = (bytes - before) as f64;
        came < f64::from(rate) * waited.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_measured_over_whole_stretches() {
        let (pace, start, stretch) = (Pace::default(), Instant::now(), Duration::from_secs(10));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!pace.is_too_slow(5, at(0), stretch, 10));
        assert!(!pace.is_too_slow(5, at(9), stretch, 10));
        assert!(!pace.is_too_slow(105, at(10), stretch, 10));
        assert!(pace.is_too_slow(204, at(20), stretch, 10));
        pace.restart();
        assert!(!pace.is_too_slow(204, at(90), stretch, 10));
        assert!(!pace.is_too_slow(204, at(99), stretch, 10));
        assert!(pace.is_too_slow(204, at(100), stretch, 10));
    }
}
