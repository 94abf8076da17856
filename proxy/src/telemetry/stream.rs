//! Stand-in with the data path's signatures.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use protocol::id::ProxyId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::WorkerWindow;
use crate::table::SharedTable;

/// What the stream is given.
#[allow(missing_docs)]
pub struct StreamArgs {
    pub brain: String,
    pub token_path: Option<PathBuf>,
    pub proxy: ProxyId,
    pub boot: String,
    pub caller: String,
    pub admin_url: String,
    pub table: SharedTable,
    pub window: Duration,
    pub workers: usize,
    pub windows: mpsc::Receiver<WorkerWindow>,
    pub dropped: Arc<AtomicU64>,
    pub stop: CancellationToken,
}

/// Runs until `stop`.
pub async fn run(args: StreamArgs) {
    args.stop.cancelled().await;
}
