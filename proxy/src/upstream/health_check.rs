//! Stand-in with the data path's signatures.

use tokio_util::sync::CancellationToken;

use crate::table::SharedTable;

/// Runs until `stop`.
pub async fn run(_table: SharedTable, stop: CancellationToken) {
    stop.cancelled().await;
}
