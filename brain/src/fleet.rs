//! What the proxies say of themselves: `GET /status` of each, once a second, kept while it is fresh.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use protocol::snapshot::ProxyStatus;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::action::client::bounded_body;
use crate::action::mesh_client::MeshClient;
use crate::clock::wall_clock_ms;
use crate::domain::ProxyView;
use crate::ingest::{ProxyTable, Target};

const POLL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(800);
/// Proxies asked at once.
const MAX_AT_ONCE: usize = 64;
/// The largest status that is read.
const MAX_STATUS_BYTES: usize = 4 << 20;
/// A status older than this is not known any more.
const FRESH_MS: i64 = 5_000;

/// The latest status of each proxy, and when it came.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    statuses: Arc<Mutex<BTreeMap<String, (i64, ProxyStatus)>>>,
}

impl Fleet {
    /// The statuses that are fresh at `now_ms`.
    #[must_use]
    pub fn fresh(&self, now_ms: i64) -> BTreeMap<String, ProxyStatus> {
        let statuses = self.lock();
        let fresh = statuses.iter().filter(|(_, (at, _))| is_fresh(*at, now_ms));
        fresh.map(|(id, (_, status))| (id.clone(), status.clone())).collect()
    }

    /// The highest epoch that any proxy has seen, as far as is fresh.
    #[must_use]
    pub fn highest_epoch(&self, now_ms: i64) -> Option<u64> {
        let statuses = self.lock();
        statuses.values().filter(|(at, _)| is_fresh(*at, now_ms)).map(|(_, s)| s.epoch.0).max()
    }

    /// All known proxies, for people.
    #[must_use]
    pub fn views(&self, proxies: &ProxyTable, now_ms: i64) -> Vec<ProxyView> {
        let statuses = self.lock();
        let view = |known: crate::ingest::KnownProxy| {
            let told = statuses.get(&known.id);
            let status = told.map(|(_, status)| status);
            ProxyView {
                reachable: told.is_some_and(|(at, _)| is_fresh(*at, now_ms)),
                version: status.map(|s| s.version.clone()),
                config_hash: status.map(|s| s.config_hash.clone()),
                frozen: status.is_some_and(|s| s.frozen),
                leases: status.map_or(0, |s| s.leases.len()),
                proxy: known.id,
                admin: known.admin,
                last_window_ms: known.last_window_ms,
                windows_refused: known.windows_refused,
            }
        };
        proxies.known().into_iter().map(view).collect()
    }

    /// Asks all proxies once a second until `stop` is cancelled.
    pub async fn watch(self, http: MeshClient, proxies: ProxyTable, stop: CancellationToken) {
        let mut interval = tokio::time::interval(POLL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let http = http.current();
            let polls = proxies.targets().into_iter().map(|(id, target)| {
                let (fleet, http) = (self.clone(), http.clone());
                async move { fleet.poll(&http, id, target).await }
            });
            let polls = futures_util::stream::iter(polls).buffer_unordered(MAX_AT_ONCE).collect::<()>();
            if stop.run_until_cancelled(polls).await.is_none() {
                break;
            }
        }
    }

    async fn poll(&self, http: &Client, id: String, target: Target) {
        match status(http, &target).await {
            Ok(status) => self.note(&id, wall_clock_ms(), status),
            Err(why) => tracing::debug!(proxy = %id, why, "no status"),
        }
    }

    /// Keeps a status, if it is the proxy's own: what says it is another is not believed.
    pub(crate) fn note(&self, id: &str, at_ms: i64, status: ProxyStatus) {
        if status.proxy.as_str() == id && status.protocol == protocol::PROTOCOL_VERSION {
            self.lock().insert(id.to_owned(), (at_ms, status));
        } else {
            tracing::debug!(proxy = %id, says = %status.proxy, protocol = status.protocol, "not its status");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (i64, ProxyStatus)>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(at_ms) <= FRESH_MS
}

async fn status(http: &Client, target: &Target) -> Result<ProxyStatus, String> {
    let url = target.admin.join("status").map_err(|why| why.to_string())?;
    let request = target.show(http.get(url)).timeout(TIMEOUT);
    let response = request.send().await.map_err(|why| why.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    let body = bounded_body(response, MAX_STATUS_BYTES).await.ok_or("the status is too long or broke off")?;
    serde_json::from_slice(&body).map_err(|why| why.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn status(proxy: &str, epoch: u64) -> ProxyStatus {
        serde_json::from_value(serde_json::json!({
            "proxy": proxy, "boot": "b", "version": "0", "protocol": protocol::PROTOCOL_VERSION, "uptime_s": 1,
            "config_hash": "", "live_state_hash": "", "epoch": epoch, "frozen": false, "draining": false,
            "services": [], "leases": []
        }))
        .unwrap()
    }

    #[test]
    fn a_status_is_forgotten_after_five_seconds() {
        let fleet = Fleet::default();
        fleet.note("p1", 1_000, status("p1", 4));
        assert_eq!(fleet.fresh(6_000).len(), 1);
        assert_eq!(fleet.highest_epoch(6_000), Some(4));
        assert_eq!(fleet.fresh(6_001).len(), 0);
        assert_eq!(fleet.highest_epoch(6_001), None);
    }

    #[test]
    fn a_status_of_another_proxy_or_another_version_is_not_believed() {
        let fleet = Fleet::default();
        fleet.note("p1", 0, status("p2", 1));
        let mut foreign = status("p1", 1);
        foreign.protocol += 1;
        fleet.note("p1", 0, foreign);
        assert!(fleet.fresh(0).is_empty());
    }
}
