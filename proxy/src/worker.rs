//! Stand-in with the data path's signatures: it accepts nothing and ends with the drain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::table::SharedTable;
use crate::telemetry::{Shard, WorkerWindow};

/// The three steps of a drain.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Answers carry `Connection: close`.
    pub begin: CancellationToken,
    /// Listeners close.
    pub stop_accepting: CancellationToken,
    /// Whatever is still open is cut.
    pub abort: CancellationToken,
}

/// What a worker is given.
pub struct WorkerArgs {
    /// Its listener.
    pub listener: std::net::TcpListener,
    /// The table.
    pub table: SharedTable,
    /// Its counters.
    pub shard: Arc<Shard>,
    /// Over all workers.
    pub connections: Arc<AtomicUsize>,
    /// The drain.
    pub drain: Drain,
    /// Where its windows go.
    pub windows: Option<mpsc::Sender<WorkerWindow>>,
    /// How long one is.
    pub window: Duration,
}

/// A running worker.
pub struct WorkerHandle(std::thread::JoinHandle<()>);

impl WorkerHandle {
    /// Waits for its end.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("a worker has panicked");
        }
    }
}

/// Starts one.
///
/// # Errors
/// When there is no thread to be had.
pub fn spawn(args: WorkerArgs) -> io::Result<WorkerHandle> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let thread = std::thread::Builder::new();
    let handle = thread.spawn(move || {
        let args = args;
        runtime.block_on(args.drain.stop_accepting.cancelled());
        drop(args);
    })?;
    Ok(WorkerHandle(handle))
}
