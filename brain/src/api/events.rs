//! `GET /v1/events`: every audit record as it becomes durable, as server-sent events.
//!
//! A reader that is too slow loses messages and is told how many (`event: lagged`); what it missed stands
//! in `/v1/audit`, after the `id` it saw last. With `?picture=true` the picture of the mesh comes too, at once
//! and then once a second (`event: picture`); it has no `id`, for there is nothing to catch up on.
//! A stream ends within seconds of the revocation, or the end, of the token or session that it was opened with.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};

use super::live::picture;
use super::problem::Refusal;
use super::server::Api;
use crate::access::Pass;
use crate::audit::Record;

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Between two looks at what a stream was opened with.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/events", get(events))
}

/// What else is wanted.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Wanted {
    #[serde(default)]
    picture: bool,
}

async fn events(
    State(api): State<Api>,
    pass: Option<Extension<Pass>>,
    Query(wanted): Query<Wanted>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Refusal> {
    let place = Arc::clone(&api.streams)
        .try_acquire_owned()
        .map_err(|_| Refusal::unavailable("as many event streams as can be served are open"))?;
    let lagged = api.metrics.events_lagged.clone();
    let messages = BroadcastStream::new(api.events.subscribe()).map(move |received| {
        let _place = &place;
        Ok(match received {
            Ok(record) => message(&record, wanted.picture),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                lagged.inc_by(missed);
                Message::default().event("lagged").data(missed.to_string())
            }
        })
    });
    let pictures = wanted.picture.then(|| {
        let first = futures_util::stream::once(std::future::ready(picture(&api)));
        first.chain(WatchStream::from_changes(api.picture.subscribe()))
    });
    let pictures = futures_util::stream::iter(pictures).flatten();
    let pictures = pictures.map(|json| Ok(Message::default().event("picture").data(json.as_ref())));
    let messages = futures_util::stream::select(messages, pictures);
    let ended = ended(api, pass.map(|Extension(pass)| pass));
    Ok(Sse::new(messages.take_until(ended)).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive")))
}

/// When the brain stops, or what the stream was opened with counts no more.
async fn ended(api: Api, pass: Option<Pass>) {
    let gone = async {
        let Some(pass) = pass else { return std::future::pending().await };
        while api.access.holds(&pass) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = api.stop.cancelled() => {}
        () = gone => {}
    }
}

/// A page that shows the picture listens to one name and reads the kind inside: kinds to come reach it, too.
fn message(record: &Record, for_page: bool) -> Message {
    // JSON escapes line breaks: the data is always one line.
    let data = serde_json::to_string(record).unwrap_or_default();
    Message::default()
        .id(record.seq.to_string())
        .event(if for_page { "record" } else { record.kind.as_str() })
        .data(data)
}
