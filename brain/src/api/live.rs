//! The picture as it is pushed to pages: one event a second for all of them, written once.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::server::Api;
use super::status::{Status, status_of};
use crate::domain::ServiceView;
use crate::history::STEP_MS;

/// From one picture to the next.
const EVERY: Duration = Duration::from_secs(1);
/// With more endpoints than this every third picture is pushed: a phone reads along, too.
const MANY_ENDPOINTS: usize = 400;

/// The newest picture as JSON; empty before somebody looked.
pub(super) type Picture = std::sync::Arc<str>;

#[derive(Serialize)]
struct Pushed<'a> {
    at_ms: i64,
    status: Status,
    services: &'a [ServiceView],
}

/// Keeps the history, and writes the picture while somebody looks, until `stop` is cancelled.
pub async fn keep(api: Api, stop: CancellationToken) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let (mut kept_step, mut turn) = (i64::MIN, 0_u32);
    while stop.run_until_cancelled(clock.tick()).await.is_some() {
        let live = api.live.load_full();
        let step = live.view.at_ms.div_euclid(STEP_MS);
        if step != kept_step {
            api.history.keep(&live.view);
            kept_step = step;
        }
        turn = turn.wrapping_add(1);
        let endpoints: usize = live.view.services.iter().map(|s| s.endpoints.len()).sum();
        if api.picture.receiver_count() > 0 && (endpoints <= MANY_ENDPOINTS || turn.is_multiple_of(3)) {
            api.picture.send_replace(picture(&api));
        }
    }
}

/// The picture, now.
pub(super) fn picture(api: &Api) -> Picture {
    let live = api.live.load();
    let pushed = Pushed { at_ms: live.view.at_ms, status: status_of(api), services: &live.view.services };
    serde_json::to_string(&pushed).unwrap_or_default().into()
}

/// A place for pictures, with none in it.
pub(super) fn place() -> watch::Sender<Picture> {
    watch::Sender::new(Picture::default())
}
