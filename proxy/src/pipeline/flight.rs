//! One request at one endpoint, from its choice to the last byte of its response: what is counted
//! of it, once, however it ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Asker;
use crate::observability::story::AttemptNote;
use crate::telemetry::Outcome;
use crate::telemetry::cells::{CellId, Ended};
use crate::telemetry::clients::ClientOutcome;
use crate::telemetry::shard::RouteCounters;
use crate::upstream::admission::Admission;
use crate::upstream::group::EndpointView;
use crate::upstream::upload::UploadProgress;
use crate::worker::Worker;

/// A client that goes away sooner than this proves nothing about the endpoint; one that waited
/// longer got no response in time, and counts so, if it had sent all of its request. The breaker is
/// told neither.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module. Dropping it ends the flight.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(super) worker: Rc<Worker>,
    pub(super) endpoint: Rc<EndpointView>,
    pub(super) upload: Rc<UploadProgress>,
    /// Response body bytes so far.
    pub(super) bytes_out: u64,
    admission: Admission,
    cell: Option<CellId>,
    counters: Arc<RouteCounters>,
    asker: Asker,
    note: Option<AttemptNote>,
    started: Instant,
    decided: Option<(Outcome, Duration)>,
}

impl Flight {
    #[allow(clippy::too_many_arguments)] // each is one thing that ends with the flight
    pub(super) fn begin(
        worker: &Rc<Worker>,
        endpoint: &Rc<EndpointView>,
        admission: Admission,
        (route, counters): (&Arc<str>, &Arc<RouteCounters>),
        asker: Asker,
        upload: Rc<UploadProgress>,
        note: Option<AttemptNote>,
        started: Instant,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            endpoint: Rc::clone(endpoint),
            upload,
            bytes_out: 0,
            admission,
            cell: worker.recorder.begin(&endpoint.label, route),
            counters: Arc::clone(counters),
            asker,
            note,
            started,
            decided: None,
        }
    }

    /// The outcome is known: with the response's head, or without one.
    pub(super) fn decide(&mut self, outcome: Outcome) {
        let now = Instant::now();
        let took = now - self.started;
        self.admission.settle(outcome, took, self.worker.now_ms(now));
        self.endpoint.counters.attempt(outcome, took);
        self.note.iter().for_each(|note| note.decided(outcome));
        if matches!(outcome, Outcome::Status(_)) {
            self.counters.upstream(took);
        }
        self.decided = Some((outcome, took));
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        let failed = outcome.is_failure();
        self.worker.shard.request(failed, took);
        self.endpoint.counters.request(failed);
        let client = match outcome {
            Outcome::Status(..400) => ClientOutcome::Fine,
            Outcome::Status(400..500) => ClientOutcome::Refused4xx,
            _ => ClientOutcome::Failed,
        };
        self.worker.recorder.client(self.asker.ip, self.asker.path, client);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let asked = self.upload.ended.get();
        let waited = || Some(self.started.elapsed()).filter(|waited| asked && *waited >= PATIENCE);
        let decided = self.decided.or_else(|| Some((Outcome::Timeout, waited()?)));
        let (bytes_in, bytes_out) = (self.upload.bytes.get(), self.bytes_out);
        self.worker.shard.bytes(bytes_in, bytes_out);
        if let Some((outcome, took)) = decided {
            self.count(outcome, took);
        }
        let ended = decided.map(|(outcome, took)| Ended { outcome, took, bytes_in, bytes_out });
        self.worker.recorder.end(self.cell, ended.as_ref());
    }
}
