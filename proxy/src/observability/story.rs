//! A request's story while it is under way: what [`super::record::Record`] will tell of it.
//!
//! Held by those who see its parts (the order, the flight, the response's body); with the last of them
//! it ends, however it ends, and is left with the access log and the exporter.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use super::access_log::LogEntry;
use super::record::{Attempt, MAX_ATTEMPTS, Record, ServerSpan};
use super::{Observer, Sinks};
use crate::error::Refusal;
use crate::settings::AccessLog;
use crate::telemetry::Outcome;
use crate::telemetry::cells::EndpointLabel;
use crate::upstream::upload::UploadProgress;

/// See the module.
#[derive(Debug)]
pub(crate) struct Story {
    observer: Rc<Observer>,
    log: Option<Arc<AccessLog>>,
    started: Instant,
    record: RefCell<Option<Record>>,
    upload: RefCell<Option<Rc<UploadProgress>>>,
    /// Whether the response came to its end.
    complete: Cell<bool>,
}

/// One attempt of the story.
#[derive(Debug)]
pub(crate) struct AttemptNote {
    story: Rc<Story>,
    at: usize,
}

impl Story {
    pub(super) fn begin(
        observer: &Rc<Observer>,
        log: Option<Arc<AccessLog>>,
        record: Record,
        started: Instant,
    ) -> Rc<Self> {
        Rc::new(Self {
            observer: Rc::clone(observer),
            log,
            started,
            record: RefCell::new(Some(record)),
            upload: RefCell::default(),
            complete: Cell::default(),
        })
    }

    /// A route and a service were found.
    pub(crate) fn led_to(&self, route: &Arc<str>, service: &Arc<EndpointLabel>) {
        self.tell(|record| {
            record.route = Some(Arc::clone(route));
            record.service = Some(Arc::clone(service));
        });
    }

    /// It was found out who asks.
    pub(crate) fn asked_by(&self, name: &str) {
        self.tell(|record| record.user = Some(name.into()));
    }

    /// It was decided whether that is allowed.
    pub(crate) fn decided(&self, decision: &str) {
        self.tell(|record| record.decision = Some(decision.into()));
    }

    /// The client's body goes to an endpoint.
    pub(crate) fn uploads(&self, progress: &Rc<UploadProgress>) {
        *self.upload.borrow_mut() = Some(Rc::clone(progress));
    }

    /// An endpoint is asked, in a span of its own (0: none).
    pub(crate) fn attempt(self: &Rc<Self>, endpoint: &Arc<EndpointLabel>, span: u64) -> AttemptNote {
        let began = self.started.elapsed();
        let mut at = usize::MAX;
        self.tell(|record| {
            record.attempts_made += 1;
            if record.attempts.len() < MAX_ATTEMPTS {
                at = record.attempts.len();
                let endpoint = Arc::clone(endpoint);
                record.attempts.push(Attempt { endpoint, span, began, answered: None, outcome: None });
            }
        });
        AttemptNote { story: Rc::clone(self), at }
    }

    /// The response's head is known.
    pub(crate) fn answered(&self, status: u16) {
        self.tell(|record| record.status = Some(status));
    }

    /// The proxy answers itself.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.went_wrong(refusal.reason());
        self.answered(refusal.status().as_u16());
        self.complete.set(true);
    }

    /// Something went wrong; the first word counts.
    pub(crate) fn went_wrong(&self, reason: &'static str) {
        self.tell(|record| record.reason = record.reason.or(Some(reason)));
    }

    /// Body bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.tell(|record| record.bytes_out += bytes as u64);
    }

    /// The response's last byte went to the client.
    pub(crate) fn completed(&self) {
        self.complete.set(true);
    }

    fn tell(&self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut *self.record.borrow_mut() {
            change(record);
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let Some(mut record) = self.record.get_mut().take() else { return };
        record.took = self.started.elapsed();
        record.bytes_in = self.upload.get_mut().as_ref().map_or(0, |upload| upload.bytes.get());
        if !self.complete.get() {
            let reason = if record.status.is_some() { "response_cut" } else { "client_gone" };
            record.reason = record.reason.or(Some(reason));
        }
        self.observer.ended(record, self.log.take());
    }
}

impl AttemptNote {
    /// What came of it.
    pub(crate) fn decided(&self, outcome: Outcome) {
        let now = self.story.started.elapsed();
        self.story.tell(|record| {
            if let Some(attempt) = record.attempts.get_mut(self.at) {
                (attempt.answered, attempt.outcome) = (Some(now), Some(outcome));
            }
        });
    }
}

impl Observer {
    /// Leaves a record where it is wanted; never waits.
    fn ended(&self, record: Record, log: Option<Arc<AccessLog>>) {
        let Sinks { log: lines, spans } = &self.sinks;
        let record = Arc::new(record);
        if let (Some(spans), true) = (spans, record.span.is_some_and(|span: ServerSpan| span.sampled)) {
            spans.send(Arc::clone(&record));
        }
        if let (Some(lines), Some(layout)) = (lines, log)
            && (layout.errors && record.failed() || layout.sample.takes(self.ids.next()))
        {
            lines.send(LogEntry { record, layout });
        }
    }
}
