//! Open-loop load that counts what a user would have seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

/// Requests and failures so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended.
    pub requests: u64,
    /// Of them failed: 5xx, or no answer within five seconds.
    pub failed: u64,
}

impl Tally {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { requests: self.requests - earlier.requests, failed: self.failed - earlier.failed }
    }
}

/// Users at work; they stop when this is dropped.
pub struct Load {
    counters: Arc<(AtomicU64, AtomicU64)>,
    _users: AbortOnDropHandle<()>,
}

impl Load {
    /// Sends `rate` requests a second to `url`.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn start(url: &str, rate: u32) -> Result<Self> {
        Self::start_as(url, rate, &[])
    }

    /// The same, as the clients at these addresses, in turns; none: whoever the test is.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn start_as(url: &str, rate: u32, clients: &[String]) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let counters = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let users =
            tokio::spawn(send_forever(client, url.to_owned(), rate, clients.to_vec(), Arc::clone(&counters)));
        Ok(Self { counters, _users: AbortOnDropHandle::new(users) })
    }

    /// Requests and failures so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let (requests, failed) = &*self.counters;
        Tally { requests: requests.load(Ordering::Relaxed), failed: failed.load(Ordering::Relaxed) }
    }

    /// Waits until `count` more requests have ended, and says what became of them.
    pub async fn next(&self, count: u64) -> Tally {
        let before = self.tally();
        while self.tally().since(before).requests < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tally().since(before)
    }
}

async fn send_forever(
    client: reqwest::Client,
    url: String,
    rate: u32,
    clients: Vec<String>,
    counters: Arc<(AtomicU64, AtomicU64)>,
) {
    let mut turns = clients.iter().cycle();
    let mut clock = interval(Duration::from_secs(1) / rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        clock.tick().await;
        let mut request = client.get(&url);
        if let Some(address) = turns.next() {
            request = request.header("x-forwarded-for", address);
        }
        let counters = Arc::clone(&counters);
        tokio::spawn(async move {
            let answered = request.send().await.is_ok_and(|answer| !answer.status().is_server_error());
            counters.1.fetch_add(u64::from(!answered), Ordering::Relaxed);
            counters.0.fetch_add(1, Ordering::Relaxed);
        });
    }
}
