//! Reloads what has changed on disk, without being asked.
//!
//! An event only says when to look; the content says whether anything has changed, so that a `touch`, or a
//! neighbour in the folder, costs a look and no more. A slow look goes on beside, for file systems that
//! tell nothing (NFS, FUSE) and for machines that have no watches left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::settings::Settings;

mod folders;

use folders::Folders;

/// So long nothing more must have happened: files that change together are read together.
const QUIET: Duration = Duration::from_millis(100);
/// But a folder in which something always happens is looked at so often.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// Between looks that no event asks for.
const ANYWAY: Duration = Duration::from_secs(30);

/// Until `stop`.
pub(crate) async fn run(admin: Arc<Admin>, stop: CancellationToken) {
    let bell = Arc::new(Notify::new());
    let mut folders = Folders::new(Arc::clone(&bell));
    loop {
        let settings = Arc::clone(&admin.control.view().table.live.settings);
        let (back, changed) = look(folders, &admin, settings).await;
        folders = back.unwrap_or_else(|| Folders::new(Arc::clone(&bell)));
        if changed {
            tracing::info!("a file has changed, the configuration is read again");
            // A refusal is logged with its report where it is made.
            let _ = admin::reload(&admin).await;
        }
        tokio::select! {
            () = bell.notified() => settle(&bell).await,
            // The files may be others now.
            () = admin.control.reloads.ended.notified() => {}
            () = sleep(ANYWAY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Whether a file holds something that no reload has read. Watched first and read then: what changes in
/// between rings the bell.
async fn look(mut folders: Folders, admin: &Arc<Admin>, settings: Arc<Settings>) -> (Option<Folders>, bool) {
    if !settings.server.watch_files {
        return (None, false);
    }
    let of = Arc::clone(admin);
    let looked = tokio::task::spawn_blocking(move || {
        folders.follow(&of.source.files(&settings));
        let changed = of.source.fingerprint(&settings) != of.control.reloads.have_read();
        (Some(folders), changed)
    });
    looked.await.unwrap_or((None, false))
}

async fn settle(bell: &Notify) {
    let began = Instant::now();
    while began.elapsed() < AT_LEAST_EVERY && timeout(QUIET, bell.notified()).await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_is_never_quiet_is_looked_at_once_a_second() {
        let bell = Arc::new(Notify::new());
        let ringing = Arc::clone(&bell);
        let noise = tokio::spawn(async move {
            loop {
                ringing.notify_one();
                sleep(QUIET / 2).await;
            }
        });
        let began = Instant::now();
        settle(&bell).await;
        assert!(began.elapsed() >= AT_LEAST_EVERY && began.elapsed() < AT_LEAST_EVERY * 2);
        noise.abort();
        let began = Instant::now();
        settle(&bell).await;
        assert!(began.elapsed() <= QUIET * 2);
    }
}
