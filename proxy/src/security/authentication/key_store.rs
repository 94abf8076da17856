//! Where a provider's keys are: in a file that was read with the settings, or at a URL.
//!
//! Keys from a URL are fetched at once and then every so often. What is there stays in force when a fetch
//! fails, for as long as it fails: a key server that is down must not lock everyone out. A token whose key is
//! not known has them fetched again, because keys rotate, but not more often than [`COOL_DOWN`]: made-up key
//! ids cost the key server nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::algorithm::Algorithm;
use super::jwks::{KeySet, MAX_JWKS_BYTES};
use crate::security::remote::Remote;
use crate::table::SharedTable;

/// Between two fetches that tokens ask for.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// A request waits so long for keys.
const WAIT: Duration = Duration::from_secs(2);
/// After a failed fetch, doubled with each one more,
const BACK_OFF: Duration = Duration::from_secs(1);
/// up to this.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
/// Between two looks at which stores are wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Where keys are fetched.
#[derive(Debug, Clone)]
pub struct KeyUrl {
    /// Where.
    pub remote: Remote,
    /// How often.
    pub every: Duration,
    /// For what they are used.
    pub algorithms: Vec<Algorithm>,
}

/// One provider's keys.
#[derive(Debug)]
pub struct KeyStore {
    keys: ArcSwapOption<KeySet>,
    source: Option<KeyUrl>,
    wanted: Notify,
    /// When the last fetch ended.
    tried: watch::Sender<Option<Instant>>,
}

impl KeyStore {
    /// Keys that do not change.
    #[must_use]
    pub fn fixed(keys: Arc<KeySet>) -> Self {
        Self { keys: ArcSwapOption::new(Some(keys)), ..Self::empty(None) }
    }

    fn empty(source: Option<KeyUrl>) -> Self {
        let (keys, wanted, tried) = (ArcSwapOption::empty(), Notify::new(), watch::Sender::new(None));
        Self { keys, source, wanted, tried }
    }

    /// The keys, if there are any yet.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// Has the keys fetched again and waits for it; whether they may be others now.
    pub async fn refreshed(&self) -> bool {
        let mut tried = self.tried.subscribe();
        let last = *tried.borrow_and_update();
        if self.source.is_none() || last.is_some_and(|at| at.elapsed() < COOL_DOWN) {
            return false;
        }
        self.wanted.notify_one();
        timeout(WAIT, tried.changed()).await.is_ok_and(|told| told.is_ok())
    }

    async fn keep(self: Arc<Self>, source: KeyUrl) {
        let mut failures = 0;
        loop {
            let fetched = source.remote.get(MAX_JWKS_BYTES).await.map_err(|why| why.to_string());
            match fetched.and_then(|text| KeySet::parse(&text, &source.algorithms)) {
                Ok(keys) => {
                    failures = 0;
                    self.keys.store(Some(Arc::new(keys)));
                }
                Err(why) => {
                    failures = (failures + 1).min(16);
                    tracing::warn!("no keys from {}: {why}; those that are there hold on", source.remote.url);
                }
            }
            self.tried.send_replace(Some(Instant::now()));
            let back_off = BACK_OFF.saturating_mul(1 << failures).min(MAX_BACK_OFF);
            let pause = if failures > 0 { back_off.min(source.every) } else { source.every };
            tokio::select! {
                () = sleep(pause) => {}
                () = async {
                    sleep(COOL_DOWN.min(pause)).await;
                    self.wanted.notified().await;
                } => {}
            }
        }
    }
}

/// Stores by URL and algorithms: they outlive reloads. Locked only when a table is built.
#[derive(Debug, Clone, Default)]
pub struct KeyStores(Arc<Mutex<HashMap<String, Arc<KeyStore>>>>);

impl KeyStores {
    /// The stores of these sources, in their order; those of no other are kept.
    #[must_use]
    pub fn of(&self, sources: &[&KeyUrl]) -> Vec<Arc<KeyStore>> {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = |source: &KeyUrl| format!("{} {:?}", source.remote.url, source.algorithms);
        let names: Vec<String> = sources.iter().map(|source| name(source)).collect();
        stores.retain(|name, _| names.contains(name));
        let store = |(name, source): (String, &&KeyUrl)| {
            let fresh = || Arc::new(KeyStore::empty(Some((*source).clone())));
            Arc::clone(stores.entry(name).or_insert_with(fresh))
        };
        names.into_iter().zip(sources).map(store).collect()
    }
}

/// Fetches the keys of all stores of the table in force, until `stop`.
pub async fn run(table: SharedTable, stop: CancellationToken) {
    let mut running: Vec<(Arc<KeyStore>, AbortOnDropHandle<()>)> = Vec::new();
    loop {
        let stores = table.load().authenticator.as_ref().map(|all| all.stores()).unwrap_or_default();
        running.retain(|(store, _)| stores.iter().any(|other| Arc::ptr_eq(store, other)));
        for store in stores {
            let known = running.iter().any(|(other, _)| Arc::ptr_eq(&store, other));
            if let Some(source) = store.source.clone().filter(|_| !known) {
                let task = tokio::spawn(Arc::clone(&store).keep(source));
                running.push((store, AbortOnDropHandle::new(task)));
            }
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}
