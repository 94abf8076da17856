//! The timer that ends leases, by the monotonic clock and nobody's leave.

use std::sync::Arc;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::Control;

impl Control {
    /// Ends each lease when its time has come, until `stop`.
    pub async fn run_expiry(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.inner().leases.next_expiry();
            let ended = async {
                match next {
                    Some(at) => sleep_until(self.started + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => self.change(|inner| inner.expire(self.started.elapsed())),
                () = self.leases_changed.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}
