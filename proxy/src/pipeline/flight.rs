//! One attempt at one endpoint, from its choice to the last byte of its response: what is counted
//! of it, once, however it ends. Only a request's last attempt counts as the request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use tokio::time::Instant;

use super::Asker;
use super::call::Call;
use crate::middleware::grpc_status::Code;
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
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A gRPC call that goes on for longer is a conversation: that it was begun is a success.
const CONVERSATION: Duration = Duration::from_secs(10);

/// What became of a call that its client has ended: nothing that is held against anybody.
pub(super) const CANCELLED: Outcome = Outcome::Status(499);

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
    call: Option<Call>,
    /// Another attempt takes its place.
    superseded: bool,
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
            cell: worker.recorder.begin(&endpoint.label, route, asker.caller),
            counters: Arc::clone(counters),
            asker,
            note,
            started,
            decided: None,
            call: None,
            superseded: false,
        }
    }

    /// The outcome is known: with the response's head, or without one.
    pub(super) fn decide(&mut self, outcome: Outcome) {
        let now = Instant::now();
        self.decide_at(outcome, now - self.started, now);
    }

    fn decide_at(&mut self, outcome: Outcome, took: Duration, now: Instant) {
        let now_ms = self.worker.now_ms(now);
        self.admission.settle(outcome, took, now_ms);
        if let Some((gate, rules)) = self.endpoint.gate.as_ref().filter(|_| tells_load(outcome)) {
            gate.answered(rules, took, now_ms);
        }
        self.endpoint.counters.attempt(outcome, took);
        self.note.iter().for_each(|note| note.decided(outcome));
        if matches!(outcome, Outcome::Status(_)) {
            self.counters.upstream(took);
        }
        self.decided = Some((outcome, took));
    }

    /// The response's head is there: it decides, but for a gRPC call that has not ended with it.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        let now = Instant::now();
        match Call::begin(response, now - self.started) {
            None => self.decide(Outcome::Status(response.status().as_u16())),
            Some(call) => {
                let said = call.code;
                self.call = Some(call);
                said.into_iter().for_each(|code| self.call_ended(code, now));
            }
        }
    }

    /// A piece of the response's body has passed.
    pub(super) fn passed(&mut self, frame: &Frame<Bytes>) {
        if self.call.is_none() || self.decided.is_some() {
            return;
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.call_ended(Code::said_in(trailers).unwrap_or(Code::UNKNOWN), Instant::now());
        } else if self.started.elapsed() > CONVERSATION {
            self.decide_call(Outcome::Status(StatusCode::OK.as_u16()));
        }
    }

    /// The response's body came to its end.
    pub(super) fn ended(&mut self) {
        if self.call.is_some() && self.decided.is_none() {
            self.call_ended(Code::UNKNOWN, Instant::now());
        }
    }

    /// The response's body broke off: a call has failed with it.
    pub(super) fn broke_off(&mut self) {
        if self.call.is_some() && self.decided.is_none() {
            // Unless its client has broken it off: then it is the client's affair.
            let cancelled = self.upload.broken.get() || self.upload.refused.get().is_some();
            self.decide_call(if cancelled { CANCELLED } else { Outcome::Reset });
        }
    }

    fn call_ended(&mut self, code: Code, now: Instant) {
        self.call.iter_mut().for_each(|call| call.code = Some(code));
        let status = code.status_after(now - self.started, PATIENCE);
        self.decide_call(Outcome::Status(status));
    }

    /// Counts a call by the time to its head, as every response.
    fn decide_call(&mut self, outcome: Outcome) {
        let now = Instant::now();
        let took = self.call.as_ref().map_or(now - self.started, |call| call.took);
        self.decide_at(outcome, took, now);
    }

    /// Another attempt is made instead: this one does not count as the request.
    pub(super) fn give_way(&mut self) {
        self.superseded = true;
    }

    /// An attempt that did not become the request's answer.
    fn count_retry(&mut self) {
        if let Some((outcome, _)) = self.decided {
            self.endpoint.counters.retried(outcome.is_failure());
            return self.worker.recorder.retried(self.cell);
        }
        // Only slower than another: no failure, which is what telemetry's retries stand for.
        let now = Instant::now();
        self.admission.outrun(now - self.started, self.worker.now_ms(now));
        self.endpoint.counters.retried(false);
        self.worker.recorder.end(self.cell, None);
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        let failed = outcome.is_failure();
        self.worker.shard.request(failed, took);
        self.call.as_ref().and_then(|call| call.code).into_iter().for_each(|code| self.counters.call(code));
        self.endpoint.counters.request(failed);
        let client = match outcome {
            Outcome::Status(..400) => ClientOutcome::Fine,
            Outcome::Status(400..500) => ClientOutcome::Refused4xx,
            _ => ClientOutcome::Failed,
        };
        self.worker.recorder.client(self.asker.ip, self.asker.path, client);
    }
}

/// Whether the time to `outcome` tells how loaded the endpoint is: what fails at once does not.
fn tells_load(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Status(status) => status < 500 && status != StatusCode::TOO_MANY_REQUESTS.as_u16(),
        Outcome::Timeout => true,
        Outcome::Reset | Outcome::ConnectFailure => false,
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.call.is_some() && self.decided.is_none() {
            self.decide_call(CANCELLED);
        }
        // While another attempt's answer is on its way, this one was only slower.
        if self.superseded || (self.decided.is_none() && self.upload.answered.get()) {
            return self.count_retry();
        }
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
