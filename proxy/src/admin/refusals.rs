//! Actions and other writes that were refused: all counted, at most one a second logged, so that whoever
//! asks for nonsense in a loop fills no disk.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::Shared;
use super::answer::Why;

/// Between two lines in the log.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// Of a path only so many characters are logged.
const MAX_PATH_CHARS: usize = 200;

/// See the module.
#[derive(Debug, Default)]
pub struct Refusals {
    count: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Refusals {
    /// Since the start.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one more; whether it is to be logged.
    fn add(&self, now: Instant) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.is_none_or(|last| now.saturating_duration_since(last) >= LOG_EVERY);
        if due {
            *logged = Some(now);
        }
        due
    }
}

pub(super) async fn note(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    let asked = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && admin.refusals.add(Instant::now()) {
        let path: String = asked.1.path().chars().take(MAX_PATH_CHARS).collect();
        let why = response.extensions().get::<Why>().map_or("", |Why(why)| why.as_str());
        let (status, refused) = (status.as_u16(), admin.refusals.count());
        tracing::warn!(status, refused, why, "refused: {} {path}", asked.0);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_counted_and_one_a_second_is_logged() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let logged = [0, 1, 500, 999, 1_000, 1_500, 2_100].map(|ms| refusals.add(at(ms)));
        assert_eq!(logged, [true, false, false, false, true, false, true]);
        assert_eq!(refusals.count(), 7);
    }
}
