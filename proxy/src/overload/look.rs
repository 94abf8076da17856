//! Looks ten times a second, and says so when it is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Overload;
use super::limits;
use super::pressure::{Level, Pressure, Usage};
use crate::allocator;
use crate::settings::OverloadBounds;
use crate::table::SharedTable;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);
/// Between two rounds in which idle connections are closed, and memory is given back.
const ROUND: Duration = Duration::from_secs(1);
/// A control group's bound may be changed while the process runs.
const BOUND_EVERY: Duration = Duration::from_secs(10);
/// Between two complaints about the same.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Until `stop`; `connections` are the clients' that are open.
pub(crate) async fn run(
    overload: Arc<Overload>,
    table: SharedTable,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
) {
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut bound, mut bound_at) = (limits::memory_bound(), Instant::now());
    let mut descriptors = limits::Descriptors::default();
    let (mut round_at, mut complained) = (None, None);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = stop.cancelled() => return,
        }
        let now = Instant::now();
        if now - bound_at >= BOUND_EVERY {
            (bound, bound_at) = (limits::memory_bound(), now);
        }
        let bounds = table.load().live.settings.server.overload;
        let before = overload.pressure().level;
        let counted = descriptors.look(now);
        let pressure = look(&bounds, bound, counted.map(|(usage, _)| usage), before);
        overload.set(pressure);
        let mut crowded = pressure.level > Level::Calm;
        if let Some((usage, true)) = counted {
            let open = connections.load(Ordering::Relaxed);
            overload.reckon(usage, bounds.stop_at, open);
            let own = overload.own.load(Ordering::Relaxed);
            let reserved = Usage { used: own + 2 * open as u64, ..usage };
            crowded |= reserved.share() >= bounds.shed_at;
        }
        if pressure.level != before || (pressure.level > Level::Calm && due(complained, now, COMPLAIN_EVERY))
        {
            complained = Some(now);
            say(&pressure);
        }
        if crowded && due(round_at, now, ROUND) {
            round_at = Some(now);
            overload.close_idle();
            // What is free counts as used until the allocator returns it.
            let _given_back = tokio::task::spawn_blocking(allocator::give_back).await;
        }
    }
}

fn look(
    bounds: &OverloadBounds,
    control_group: Option<u64>,
    descriptors: Option<Usage>,
    before: Level,
) -> Pressure {
    let most = [bounds.max_memory_bytes, control_group].into_iter().flatten().min();
    let memory = most.and_then(|most| Some(Usage { used: limits::resident()?, most }));
    Pressure::judge(memory, descriptors, bounds, before)
}

fn due(last: Option<Instant>, now: Instant, every: Duration) -> bool {
    last.is_none_or(|last| now - last >= every)
}

fn say(pressure: &Pressure) {
    let share = |usage: Option<Usage>| usage.map_or(0.0, |usage| (usage.share() * 100.0).round());
    let (memory, descriptors) = (share(pressure.memory), share(pressure.descriptors));
    match pressure.level {
        Level::Calm => tracing::info!(memory, descriptors, "no longer overloaded (per cent in use)"),
        Level::Sheds => {
            tracing::warn!(memory, descriptors, "overloaded: new requests are refused (per cent in use)");
        }
        Level::Stops => {
            tracing::error!(memory, descriptors, "overloaded: new connections are closed (per cent in use)");
        }
    }
}
