//! Who asks.

use std::net::IpAddr;

use http::request::Parts;
use protocol::telemetry::CALLER_PREVIEW;

use crate::connection::ClientConnection;
use crate::middleware::client;
use crate::settings::Server;
use crate::telemetry::callers::CallerId;
use crate::telemetry::distinct::hash_of;
use crate::worker::Worker;

/// Who asks, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) ip: IpAddr,
    /// The path's hash; 0 while nothing is recorded.
    pub(crate) path: u64,
    /// The workload that its certificate names.
    pub(crate) caller: CallerId,
}

impl Asker {
    pub(super) fn of(worker: &Worker, connection: &ClientConnection, parts: &Parts, server: &Server) -> Self {
        let ip = client::identify(connection.peer, &parts.headers, &server.trusted_proxies);
        let path = if worker.recorder.is_on() { hash_of(parts.uri.path()) } else { 0 };
        Self { ip, path, caller: connection.caller }
    }

    /// The same as somebody who asked for a version on trial.
    pub(super) fn previewing(self, worker: &Worker) -> Self {
        Self { caller: worker.recorder.caller(CALLER_PREVIEW), ..self }
    }
}
