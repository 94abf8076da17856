//! What a worker does beside serving: following the process down, closing what is idle, handing its windows in.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Lifecycle, Worker};
use crate::allocator;
use crate::clock;
use crate::signals::Phase;
use crate::telemetry::recorder::Tap;
use crate::telemetry::stream::{wall_clock_ms, window_end};
use crate::upstream::pool::MAX_IDLE_TIME;

/// Between two rounds of upkeep.
const UPKEEP: Duration = Duration::from_secs(1);
/// Connections that came to rest, some 20 kB each, for whose memory the allocator is asked.
const ENOUGH_RESTED: u32 = 256;

pub(super) async fn follow(worker: Rc<Worker>, lifecycle: Lifecycle) {
    let steps = [
        (lifecycle.drain, Phase::Draining),
        (lifecycle.stop_accepting, Phase::Stopping),
        (lifecycle.abort, Phase::Aborted),
    ];
    let waits = steps.map(|(token, phase)| {
        let worker = Rc::clone(&worker);
        async move {
            token.cancelled().await;
            worker.signals.advance(phase);
        }
    });
    futures_util::future::join_all(waits).await;
}

pub(super) async fn keep_up(worker: Rc<Worker>) {
    loop {
        sleep(UPKEEP).await;
        let now = Instant::now();
        worker.shard.moves(clock::ms_at(now));
        worker.view().endpoints().for_each(|endpoint| endpoint.pool.evict(now));
        if worker.rested.get() >= ENOUGH_RESTED {
            worker.rested.set(0);
            allocator::give_back();
        }
    }
}

/// Closes what is not needed when the process runs short: idle connections of clients, and to endpoints.
pub(super) async fn make_room(worker: Rc<Worker>) {
    let mut rounds = worker.overload.rounds();
    while rounds.changed().await.is_ok() {
        worker.signals.close_idle();
        let all_are_old = Instant::now() + MAX_IDLE_TIME;
        worker.view().endpoints().for_each(|endpoint| endpoint.pool.evict(all_are_old));
    }
}

pub(super) async fn report(worker: Rc<Worker>, tap: Tap) {
    let window_ms = i64::try_from(tap.window.as_millis()).unwrap_or(1_000).max(1);
    loop {
        let (_, remaining) = window_end(wall_clock_ms(), window_ms);
        sleep(remaining).await;
        worker.hand_in(&tap);
    }
}
