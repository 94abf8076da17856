//! Where control meets the data path: every call across is here, one small function each.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::metrics::{Backend, Readings};
use crate::control::Control;
use crate::settings::{Ai, Settings};
use crate::supervise::Beside;
use crate::table::SharedTable;
use crate::telemetry::stream::StreamArgs;
use crate::telemetry::{Shard, WorkerWindow, stream};
use crate::upstream::{breaker, health_check};
use crate::worker::{self, Drain, WorkerArgs};

/// Windows of all workers on their way to the stream; a full channel drops, it never waits.
const WINDOWS_IN_FLIGHT: usize = 64;

/// The workers before they are started, and what they share.
pub(super) struct DataPath {
    listeners: Vec<TcpListener>,
    shards: Vec<Arc<Shard>>,
    connections: Arc<AtomicUsize>,
    windows_dropped: Arc<AtomicU64>,
    pub(super) drain: Drain,
}

/// One listener a worker, all on one address.
pub(super) fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    crate::listener::bind(address, workers)
}

/// The clock that breakers run by.
pub(super) fn breaker_clock_ms() -> u64 {
    breaker::now_ms()
}

/// Active checks, until `stop`.
pub(super) async fn health_checks(table: SharedTable, stop: CancellationToken) {
    health_check::run(table, stop).await;
}

impl DataPath {
    pub(super) fn new(_settings: &Settings, listeners: Vec<TcpListener>) -> Self {
        let token = CancellationToken::new;
        Self {
            shards: listeners.iter().map(|_| Arc::new(Shard::new())).collect(),
            listeners,
            connections: Arc::default(),
            windows_dropped: Arc::default(),
            drain: Drain { begin: token(), stop_accepting: token(), abort: token() },
        }
    }

    /// Starts a thread a worker; the set yields when one ends.
    pub(super) fn start_workers(
        self,
        table: &SharedTable,
        windows: Option<&mpsc::Sender<WorkerWindow>>,
        window: Duration,
    ) -> io::Result<JoinSet<()>> {
        let mut ends = JoinSet::new();
        for (listener, shard) in self.listeners.into_iter().zip(self.shards) {
            let handle = worker::spawn(WorkerArgs {
                listener,
                table: Arc::clone(table),
                shard,
                connections: Arc::clone(&self.connections),
                drain: self.drain.clone(),
                windows: windows.cloned(),
                window,
            })?;
            ends.spawn_blocking(move || handle.join());
        }
        Ok(ends)
    }

    /// The stream to the brain, and where workers put their windows.
    pub(super) fn telemetry(
        &self,
        ai: &Ai,
        control: &Control,
        beside: Option<&Beside>,
        admin_url: String,
        stop: &CancellationToken,
    ) -> (mpsc::Sender<WorkerWindow>, impl Future<Output = ()> + use<>) {
        let (sender, windows) = mpsc::channel(WINDOWS_IN_FLIGHT);
        let own = || beside.map(|beside| format!("http://{}", beside.telemetry));
        let args = StreamArgs {
            brain: ai.brain.clone().or_else(own).unwrap_or_default(),
            token_path: ai.token_path.clone().or_else(|| beside.map(|b| b.telemetry_token.clone())),
            proxy: control.proxy.clone(),
            boot: control.boot.clone(),
            caller: ai.caller.clone(),
            admin_url,
            table: control.table(),
            window: ai.window,
            workers: self.listeners.len(),
            windows,
            dropped: Arc::clone(&self.windows_dropped),
            stop: stop.clone(),
        };
        (sender, stream::run(args))
    }

    /// What to ask at each scrape.
    pub(super) fn readings(&self) -> Box<dyn Fn() -> Readings + Send + Sync> {
        let (shards, dropped) = (self.shards.clone(), Arc::clone(&self.windows_dropped));
        let connections = Arc::clone(&self.connections);
        Box::new(move || {
            let mut sum = Readings {
                active_connections: connections.load(Ordering::Relaxed) as u64,
                windows_dropped: dropped.load(Ordering::Relaxed),
                ..Readings::default()
            };
            shards.iter().for_each(|shard| add(&mut sum, shard));
            sum
        })
    }
}

/// One worker's counts onto the others'.
fn add(sum: &mut Readings, shard: &Shard) {
    let one = shard.snapshot();
    sum.requests += one.requests;
    sum.successful += one.successful;
    sum.failed += one.failed;
    sum.total_connections += one.connections;
    sum.bytes_sent += one.bytes_sent;
    sum.bytes_received += one.bytes_received;
    sum.response_time_count += one.response_time_count;
    sum.response_time_sum += one.response_time_sum;
    let mut buckets: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for (bound, n) in sum.response_time.iter().chain(&one.response_time) {
        // Bounds are positive, and the bits of positive floats sort as they do.
        buckets.entry(bound.to_bits()).or_insert((*bound, 0)).1 += n;
    }
    sum.response_time = buckets.into_values().collect();
    for (key, counted) in one.backends {
        let backend: &mut Backend = sum.backends.entry(key).or_default();
        backend.connections += counted.connections;
        backend.requests += counted.requests;
        backend.failures += counted.failures;
    }
}
