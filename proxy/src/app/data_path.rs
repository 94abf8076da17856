//! Where control meets the data path: every call across is here, one small function each.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::metrics::Readings;
use crate::clock;
use crate::control::Control;
use crate::observability::Sinks;
use crate::overload::{self, Overload};
use crate::settings::Ai;
use crate::supervise::Beside;
use crate::table::SharedTable;
use crate::telemetry::recorder::Tap;
use crate::telemetry::shard::{Shard, ShardSnapshot};
use crate::telemetry::stream::{self, MAX_PARTS, StreamArgs};
use crate::worker::{self, Lifecycle, WorkerArgs};

/// Workers say once a second that they move.
const LEAST_PATIENCE: Duration = Duration::from_secs(3);

/// The workers before they are started, and what they share.
pub(super) struct DataPath {
    /// By worker.
    listeners: Vec<Vec<TcpListener>>,
    shards: Vec<Arc<Shard>>,
    connections: Arc<AtomicUsize>,
    windows_dropped: Arc<AtomicU64>,
    pub(super) overload: Arc<Overload>,
    pub(super) sinks: Sinks,
    pub(super) lifecycle: Lifecycle,
}

impl DataPath {
    pub(super) fn new(listeners: Vec<Vec<TcpListener>>, sinks: Sinks) -> Self {
        Self {
            shards: listeners.iter().map(|_| Arc::default()).collect(),
            listeners,
            connections: Arc::default(),
            windows_dropped: Arc::default(),
            overload: Arc::default(),
            sinks,
            lifecycle: Lifecycle::default(),
        }
    }

    /// Starts a thread a worker; the set yields when one ends.
    pub(super) fn start_workers(self, table: &SharedTable, tap: Option<&Tap>) -> io::Result<JoinSet<()>> {
        let mut ends = JoinSet::new();
        for (index, (listeners, shard)) in self.listeners.into_iter().zip(self.shards).enumerate() {
            let handle = worker::spawn(WorkerArgs {
                index,
                listeners,
                table: Arc::clone(table),
                shard,
                connections: Arc::clone(&self.connections),
                lifecycle: self.lifecycle.clone(),
                windows: tap.cloned(),
                overload: Arc::clone(&self.overload),
                sinks: self.sinks.clone(),
            })?;
            ends.spawn(async move { handle.ended().await });
        }
        Ok(ends)
    }

    /// The stream to the brain, and where workers leave their windows.
    pub(super) fn telemetry(
        &self,
        ai: &Ai,
        control: &Control,
        beside: Option<&Beside>,
        admin_url: String,
        stop: &CancellationToken,
    ) -> (Tap, impl Future<Output = ()> + use<>) {
        let (sender, parts) = mpsc::channel(MAX_PARTS);
        let own = || beside.map(|beside| format!("http://{}", beside.telemetry));
        let token = ai.token_path.clone().or_else(|| beside.map(|b| b.telemetry_token.clone()));
        let args = StreamArgs {
            parts,
            brain_url: ai.brain.clone().or_else(own).unwrap_or_default(),
            // The id that holds is the one with the real port, and the token may be the neighbour's.
            ai: Ai { proxy: control.proxy.clone(), token_path: token, ..ai.clone() },
            boot: control.boot.clone(),
            admin_url,
            table: control.table(),
            dropped: Arc::clone(&self.windows_dropped),
            shutdown: stop.clone(),
        };
        (Tap { sender, window: ai.window }, stream::run(args))
    }

    /// What watches over memory and descriptors.
    pub(super) fn look_out(
        &self,
        control: &Control,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        overload::run(Arc::clone(&self.overload), control.table(), Arc::clone(&self.connections), stop)
    }

    /// Whether each worker has moved within a time, or need not any more.
    pub(super) fn alive(&self) -> impl Fn(Duration) -> bool + Send + use<> {
        let (shards, drain) = (self.shards.clone(), self.lifecycle.drain.clone());
        move |within| drain.is_cancelled() || all_move(&shards, clock::now_ms(), within)
    }

    /// What to ask at each scrape.
    pub(super) fn readings(&self) -> Box<dyn Fn() -> Readings + Send + Sync> {
        let (shards, dropped) = (self.shards.clone(), Arc::clone(&self.windows_dropped));
        let (sinks, overload) = (self.sinks.clone(), Arc::clone(&self.overload));
        Box::new(move || {
            let mut traffic = ShardSnapshot::default();
            shards.iter().for_each(|shard| traffic.merge(&shard.snapshot()));
            Readings {
                traffic,
                windows_dropped: dropped.load(Ordering::Relaxed),
                pressure: overload.pressure(),
                sinks: sinks.clone(),
            }
        })
    }
}

/// Whether each worker has moved within a time.
fn all_move(shards: &[Arc<Shard>], now_ms: u64, within: Duration) -> bool {
    let within = u64::try_from(within.max(LEAST_PATIENCE).as_millis()).unwrap_or(u64::MAX);
    shards.iter().all(|shard| now_ms.saturating_sub(shard.moved_ms()) <= within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_hangs_is_enough_to_be_called_dead() {
        let shards: [Arc<Shard>; 2] = Default::default();
        shards.iter().for_each(|shard| shard.moves(10_000));
        let within = Duration::from_secs(5);
        assert!(all_move(&shards, 14_000, within));
        shards[0].moves(20_000);
        assert!(!all_move(&shards, 20_000, within));
        assert!(all_move(&shards, 12_500, Duration::from_millis(1)), "nobody moves more often");
    }
}
