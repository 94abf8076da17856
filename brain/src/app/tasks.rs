//! The daemon's long tasks, and the words for how one died.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use trust::serving::{self, Manners};

use super::AppError;
use crate::ingest::{Ingest, secured};
use crate::tls_files::TlsFiles;

/// Connections to the API at once.
const MAX_CONNECTIONS: usize = 512;

pub(super) async fn serve_api(
    listener: TcpListener,
    routes: axum::Router,
    tls: Option<TlsFiles>,
    stop: CancellationToken,
) -> Result<(), String> {
    let tls = Box::new(move || tls.as_ref().map(TlsFiles::current));
    serving::serve(listener, routes, Manners { name: "API", max_connections: MAX_CONNECTIONS, tls }, stop)
        .await;
    Ok(())
}

pub(super) async fn serve_telemetry(
    listener: TcpListener,
    service: Ingest,
    secured: Option<TlsFiles>,
    stop: CancellationToken,
) -> Result<(), String> {
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .max_concurrent_streams(Some(16))
        .add_service(service.service());
    let served = match secured {
        None => {
            let incoming = TcpListenerStream::new(listener);
            server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        }
        Some(files) => {
            let incoming = secured::accept(listener, files, stop.clone());
            server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        }
    };
    served.map_err(|why| why.to_string())
}

type Ended = (&'static str, Result<(), String>);

pub(super) async fn named(name: &'static str, task: impl Future<Output = Result<(), String>>) -> Ended {
    (name, task.await)
}

/// A task that only ends when it is told to.
pub(super) async fn lasting(task: impl Future<Output = ()>) -> Result<(), String> {
    task.await;
    Ok(())
}

pub(super) fn how_it_died(ended: Option<Result<Ended, JoinError>>) -> AppError {
    match ended {
        Some(Ok((name, Err(why)))) => AppError::Died(name, why),
        Some(Ok((name, Ok(())))) => AppError::Died(name, "it ended by itself".to_owned()),
        Some(Err(why)) => AppError::Died("a task", panic_words(Some(why))),
        None => AppError::Died("a task", "there are none".to_owned()),
    }
}

pub(super) fn panic_words(why: Option<JoinError>) -> String {
    why.map_or_else(|| "it ended by itself".to_owned(), |why| why.to_string())
}
