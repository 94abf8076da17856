//! HTTP/2 on a new connection (RFC 9113).

use std::cell::Cell;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io::{Error, Result};
use std::pin::Pin;
use std::rc::Rc;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::lent::Stage;
use crate::local_tasks::LocalTasks;
use crate::settings::StreamBounds;
use crate::upstream::connector::Stream;
use crate::upstream::upload::Upload;

/// The largest response head that is read, as HTTP/2 counts it.
const MAX_RESPONSE_HEAD_BYTES: u32 = 256 * 1024;
/// Bytes of one request that wait for an endpoint which does not take them.
const MAX_SEND_BUFFER_BYTES: usize = 131_072;
/// The largest window there is.
const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Must run on a local task set, where the connection's own tasks are left. Keeps in `room` how many requests
/// the connection takes at once.
pub(super) async fn handshake(
    stream: Stream,
    bounds: StreamBounds,
    room: Rc<Cell<usize>>,
) -> Result<SendRequest<Upload>> {
    let most = bounds.max_concurrent_streams;
    let mut builder = http2::Builder::new(LocalTasks);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(bounds.stream_window_bytes)
        // All streams at once: what one client does not read is no other client's affair.
        .initial_connection_window_size(bounds.stream_window_bytes.saturating_mul(most).min(MAX_WINDOW_BYTES))
        .max_header_list_size(MAX_RESPONSE_HEAD_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .keep_alive_interval(bounds.keepalive_interval);
    if let Some(interval) = bounds.keepalive_interval {
        builder.keep_alive_timeout(interval);
    }
    let (sender, mut connection) =
        builder.handshake::<_, Upload>(TokioIo::new(stream)).await.map_err(Error::other)?;
    tokio::task::spawn_local(async move {
        let driven = poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            room.set(connection.current_max_send_streams().min(most as usize));
            polled
        });
        // Its end is seen by whoever sends on it.
        let _ended = driven.await;
    });
    Ok(sender)
}

/// How far a request came that failed so. An endpoint that refuses a stream, or goes away in peace before it,
/// says that it has not begun with it (sections 8.7 and 6.8).
pub(super) fn stage(failed: &hyper::Error) -> Stage {
    let cause = failed.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    let refused = |why: &h2::Error| {
        why.is_remote()
            && (why.is_reset() && why.reason() == Some(h2::Reason::REFUSED_STREAM)
                || why.is_go_away() && why.reason() == Some(h2::Reason::NO_ERROR))
    };
    if cause.is_some_and(refused) { Stage::Unprocessed } else { Stage::Sent }
}

/// Whether such a failure is the request's own: its connection goes on.
pub(super) fn is_of_the_stream(failed: &hyper::Error) -> bool {
    let cause = failed.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_reset)
}
