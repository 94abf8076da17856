//! From workers' parts to the brain: one window each `ai.window_ms`, whatever happens.
//!
//! Runs on the control runtime. Windows are aligned to the wall clock; a window without traffic is
//! sent too, because "no traffic" is not "no proxy". A part that comes after its window was closed
//! is counted in the next one: late, not lost.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::link::{self, Caller, LinkError};
use super::outbox::Outbox;
use super::recorder::WorkerWindow;
use super::window::{WindowHead, WindowSum};
use crate::settings::Ai;
use crate::table::SharedTable;

/// Parts that may wait to be added up; what is beyond is dropped by the worker that sends it.
pub const MAX_PARTS: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Complaints about the same brain are at least this far apart.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(30);

/// What [`run`] needs.
#[derive(Debug)]
pub struct StreamArgs {
    /// The other end of the workers' [`super::recorder::Tap`]s; a channel of [`MAX_PARTS`].
    pub parts: mpsc::Receiver<WorkerWindow>,
    /// Who this proxy is, and how long a window lasts.
    pub ai: Ai,
    /// `http://HOST:PORT` of the brain's telemetry listener, configured or just started.
    pub brain_url: String,
    /// Which life of this proxy.
    pub boot: String,
    /// The URL of this proxy's action API.
    pub admin_url: String,
    /// For the hash of the configuration in force.
    pub table: SharedTable,
    /// `proxy_telemetry_windows_dropped_total`.
    pub dropped: Arc<AtomicU64>,
    /// Ends it.
    pub shutdown: CancellationToken,
}

/// Reports until `shutdown`. Never fails: a brain that is away is dialled again and again.
pub async fn run(args: StreamArgs) {
    let StreamArgs { parts, ai, brain_url, boot, admin_url, table, dropped, shutdown } = args;
    let outbox = Outbox::new(dropped);
    let token_path = ai.token_path.clone();
    let tls = ai.tls.clone();
    let caller = Caller { brain_url, token_path, proxy: ai.proxy.to_string(), admin_url, tls };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = collect(parts, &ai, &boot, &table, &outbox) => {}
        () = keep_dialling(&caller, &outbox) => {}
    }
}

async fn collect(
    mut parts: mpsc::Receiver<WorkerWindow>,
    ai: &Ai,
    boot: &str,
    table: &SharedTable,
    outbox: &Outbox,
) {
    let window_ms = i64::try_from(ai.window.as_millis()).unwrap_or(1_000).clamp(1, 60_000);
    // Workers send at the window's end; the sum is closed a little later.
    let grace = Duration::from_millis(200).min(ai.window / 4);
    let mut seq = 0;
    loop {
        let mut sum = WindowSum::default();
        let (end_ms, remaining) = window_end(wall_clock_ms(), window_ms);
        let close = tokio::time::sleep(remaining + grace);
        tokio::pin!(close);
        loop {
            tokio::select! {
                () = &mut close => break,
                part = parts.recv() => match part {
                    Some(part) => sum.add(part),
                    // No worker is left: nothing more will come, but the proxy still lives.
                    None => { (&mut close).await; break }
                },
            }
        }
        seq += 1;
        outbox.push(sum.finish(WindowHead {
            proxy: ai.proxy.to_string(),
            boot: boot.to_owned(),
            caller: ai.caller.clone(),
            seq,
            start_ms: end_ms - window_ms,
            duration_ms: u32::try_from(window_ms).unwrap_or(1_000),
            config_hash: table.load().live.settings.hash.clone(),
        }));
    }
}

async fn keep_dialling(caller: &Caller, outbox: &Outbox) {
    let mut pause = FIRST_PAUSE;
    let mut complained: Option<tokio::time::Instant> = None;
    loop {
        let (worked, ended) = link::run(caller, outbox).await;
        if worked {
            pause = FIRST_PAUSE;
            complained = None;
        }
        if complained.is_none_or(|at| at.elapsed() >= BETWEEN_COMPLAINTS) {
            complain(&caller.brain_url, &ended);
            complained = Some(tokio::time::Instant::now());
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn complain(brain_url: &str, ended: &LinkError) {
    match ended {
        LinkError::Closed => info!(brain_url, "the brain closed the telemetry stream; dialling again"),
        why => warn!(brain_url, %why, "no telemetry reaches the brain; traffic is not affected"),
    }
}

/// Between half of `pause` and all of it, so that a fleet does not dial in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0u8; 1];
    let share = getrandom::fill(&mut byte).map_or(1.0, |()| f64::from(byte[0]) / 255.0);
    pause.mul_f64(0.5 + share / 2.0)
}

/// The wall clock, milliseconds since the epoch.
#[must_use]
pub fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When the window that holds `now_ms` ends, and how long that is from now.
#[must_use]
pub fn window_end(now_ms: i64, window_ms: i64) -> (i64, Duration) {
    let end_ms = (now_ms.div_euclid(window_ms) + 1) * window_ms;
    (end_ms, Duration::from_millis(u64::try_from(end_ms - now_ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_to_the_wall_clock() {
        assert_eq!(window_end(1_700_000_000_250, 1_000), (1_700_000_001_000, Duration::from_millis(750)));
        assert_eq!(window_end(1_700_000_001_000, 1_000), (1_700_000_002_000, Duration::from_secs(1)));
    }

    #[test]
    fn pauses_are_spread_but_bounded() {
        for _ in 0..50 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE);
        }
    }
}
