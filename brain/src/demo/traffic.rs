//! The demo's users: open-loop traffic, so that a slow mesh is asked no less.
//!
//! Each request is due at its own instant and is timed from that instant, not from when it could be
//! sent: a stall shows as latency instead of vanishing (Tene, "coordinated omission").

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::latency::{index_of, value_of};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::fault::USER_PATIENCE;

/// What a user waits for an answer before giving up.
const USER_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests on their way at once; beyond it a request fails in the user's hand.
const MAX_IN_FLIGHT: usize = 4_096;
/// How many different users there are.
const USERS: u32 = 200;

/// What users saw of the requests that were due in one second, or several.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests that ended.
    pub requests: u64,
    /// Of them failed: 5xx, no answer, or none in time.
    pub failed: u64,
    /// Of them answered, but later than [`USER_PATIENCE`].
    pub slow: u64,
    latency: BTreeMap<i32, u64>,
}

impl Seen {
    /// Failed or slow.
    pub fn bad(&self) -> u64 {
        self.failed + self.slow
    }

    /// `bad` over `requests`, 0 to 1.
    pub fn bad_share(&self) -> f64 {
        self.bad() as f64 / self.requests.max(1) as f64
    }

    /// A latency quantile in milliseconds.
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let total: u64 = self.latency.values().sum();
        let rank = (q * total as f64).ceil() as u64;
        let mut below = 0;
        for (index, count) in &self.latency {
            below += count;
            if below >= rank.max(1) {
                return value_of(*index) / 1e3;
            }
        }
        0.0
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.slow += other.slow;
        for (index, count) in &other.latency {
            *self.latency.entry(*index).or_default() += count;
        }
    }

    fn record(&mut self, answered: bool, took: Duration) {
        self.requests += 1;
        if !answered {
            self.failed += 1;
            return;
        }
        self.slow += u64::from(took > USER_PATIENCE);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        *self.latency.entry(index_of(micros)).or_default() += 1;
    }
}

/// What users saw, second by second since the traffic began.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Vec<Seen>>>);

impl History {
    /// Everything that was due from `from` (included) to `to` (excluded), in whole seconds.
    pub fn between(&self, from: Duration, to: Duration) -> Seen {
        let seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Seen::default();
        let first = usize::try_from(from.as_secs()).unwrap_or(usize::MAX);
        let last = usize::try_from(to.as_secs()).unwrap_or(usize::MAX).min(seconds.len());
        for second in seconds.iter().take(last).skip(first) {
            sum.add(second);
        }
        sum
    }

    fn record(&self, due: Duration, answered: bool, took: Duration) {
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = usize::try_from(due.as_secs()).unwrap_or(usize::MAX);
        if seconds.len() <= second {
            seconds.resize(second + 1, Seen::default());
        }
        seconds[second].record(answered, took);
    }
}

/// Users at work; they stop when this is dropped.
pub struct Traffic {
    /// What they saw so far.
    pub history: History,
    /// When they began.
    pub began: Instant,
    _users: AbortOnDropHandle<()>,
}

impl Traffic {
    /// Sends `rate` requests a second to `url`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn start(url: &str, rate: u32) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(USER_TIMEOUT).pool_max_idle_per_host(256).build()?;
        let history = History::default();
        let began = Instant::now();
        let users: JoinHandle<()> =
            tokio::spawn(send_forever(client, url.to_owned(), rate, began, history.clone()));
        Ok(Self { history, began, _users: AbortOnDropHandle::new(users) })
    }
}

async fn send_forever(client: reqwest::Client, url: String, rate: u32, began: Instant, history: History) {
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut clock = interval(Duration::from_secs(1) / rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0u32.. {
        let due = clock.tick().await;
        let Ok(permit) = Arc::clone(&in_flight).try_acquire_owned() else {
            history.record(due - began, false, USER_TIMEOUT);
            continue;
        };
        let user = number.wrapping_mul(2_654_435_761) % USERS;
        let request = client.get(&url).header("x-forwarded-for", format!("198.51.100.{user}"));
        let history = history.clone();
        tokio::spawn(async move {
            let answered = tokio::select! {
                answer = request.send() => answer.is_ok_and(|a| !a.status().is_server_error()),
                () = sleep_until(due + USER_TIMEOUT) => false,
            };
            history.record(due - began, answered, due.elapsed());
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_saw_adds_up_over_the_seconds_asked_for() {
        let history = History::default();
        history.record(Duration::from_millis(100), true, Duration::from_millis(10));
        history.record(Duration::from_millis(1_900), false, Duration::from_secs(2));
        history.record(Duration::from_millis(2_100), true, Duration::from_millis(400));
        let first_two = history.between(Duration::ZERO, Duration::from_secs(2));
        assert_eq!((first_two.requests, first_two.failed, first_two.slow), (2, 1, 0));
        let all = history.between(Duration::ZERO, Duration::from_secs(60));
        assert_eq!((all.requests, all.bad()), (3, 2));
        assert!((all.quantile_ms(0.5) - 10.0).abs() < 0.2, "{}", all.quantile_ms(0.5));
    }
}
