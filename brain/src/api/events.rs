//! `GET /v1/events`: every audit record as it becomes durable, as server-sent events.
//!
//! A reader that is too slow loses messages and is told how many (`event: lagged`); what it missed stands
//! in `/v1/audit`, after the `id` it saw last.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::problem::Refusal;
use super::server::Api;
use crate::audit::Record;

const HEARTBEAT: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/events", get(events))
}

async fn events(
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Refusal> {
    let place = Arc::clone(&api.streams)
        .try_acquire_owned()
        .map_err(|_| Refusal::unavailable("as many event streams as can be served are open"))?;
    let lagged = api.metrics.events_lagged.clone();
    let messages = BroadcastStream::new(api.events.subscribe()).map(move |received| {
        let _place = &place;
        Ok(match received {
            Ok(record) => message(&record),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                lagged.inc_by(missed);
                Message::default().event("lagged").data(missed.to_string())
            }
        })
    });
    let until_stop = messages.take_until(api.stop.clone().cancelled_owned());
    Ok(Sse::new(until_stop).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive")))
}

fn message(record: &Record) -> Message {
    // JSON escapes line breaks: the data is always one line.
    let data = serde_json::to_string(record).unwrap_or_default();
    Message::default().id(record.seq.to_string()).event(record.kind.clone()).data(data)
}
