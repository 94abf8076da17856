//! What is seen of one request from outside the order: where it was led, and how it ended, once.
//!
//! Counting of endpoints' outcomes is the flight's ([`super::flight`]); this is the client's side of it.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::error::Refusal;
use crate::observability::passage::Passage;
use crate::observability::story::{AttemptNote, Story};
use crate::routing::view::{Target, View};
use crate::security::authentication::Principal;
use crate::security::authorization::Decision;
use crate::security::cors;
use crate::telemetry::cells::EndpointLabel;
use crate::telemetry::shard::RouteCounters;
use crate::upstream::upload::UploadProgress;
use crate::worker::Worker;

/// See the module. Dropped before an answer was known: the client went away.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    worker: &'a Worker,
    started: Instant,
    counters: RefCell<Option<Arc<RouteCounters>>>,
    ended: Cell<bool>,
    passage: Option<Passage>,
    story: Option<Rc<Story>>,
    /// What the response says beside, whoever makes it.
    fields: RefCell<Option<Box<HeaderMap>>>,
    /// The same of other origins, and whether it differs by origin; what the response says of it is taken away.
    cross_origin: RefCell<Option<Box<(HeaderMap, bool)>>>,
}

impl<'a> Seen<'a> {
    pub(super) fn begin(
        worker: &'a Worker,
        view: &View,
        (parts, client, id): (&Parts, IpAddr, &HeaderValue),
        started: Instant,
    ) -> Self {
        let settings = &view.table.live.settings.observability;
        let (passage, story) = worker.observer.begin(settings, (parts, client, id), started);
        let (counters, ended) = (RefCell::default(), Cell::new(false));
        let (fields, cross_origin) = (RefCell::default(), RefCell::default());
        Self { worker, started, counters, ended, passage, story, fields, cross_origin }
    }

    /// A route and a share of its split were found.
    pub(super) fn led_to(&self, route: &Arc<str>, target: &Target) {
        *self.counters.borrow_mut() = Some(Arc::clone(&target.counters));
        if let Some(story) = &self.story {
            story.led_to(route, &target.service.nowhere);
        }
    }

    /// Adds to what the response says, whoever makes it.
    pub(super) fn fields(&self, add: impl FnOnce(&mut HeaderMap)) {
        let mut fields = self.fields.borrow_mut();
        let mut map = fields.take().unwrap_or_default();
        add(&mut map);
        *fields = Some(map).filter(|map| !map.is_empty());
    }

    /// Pages of other origins are told this.
    pub(super) fn cross_origin(&self, fields: HeaderMap, varies: bool) {
        *self.cross_origin.borrow_mut() = Some(Box::new((fields, varies)));
    }

    /// It was found out who asks.
    pub(super) fn asked_by(&self, principal: &Principal) {
        self.story.iter().for_each(|story| story.asked_by(&principal.name));
    }

    /// It was decided whether that is allowed.
    pub(super) fn decided(&self, decision: &Decision<'_>, shadow: bool) {
        self.story.iter().for_each(|story| story.decided(&decision.text(shadow)));
    }

    /// Has a response say what was added; of a field that it has already, this is what counts.
    pub(super) fn complete(&self, headers: &mut HeaderMap) {
        if let Some(fields) = self.fields.take() {
            headers.extend(*fields);
        }
        if let Some(told) = self.cross_origin.take() {
            let (fields, varies) = *told;
            cors::replace(headers, fields, varies);
        }
    }

    /// The client's body goes to an endpoint.
    pub(super) fn uploads(&self, progress: &Rc<UploadProgress>) {
        self.story.iter().for_each(|story| story.uploads(progress));
    }

    /// `endpoint` is asked: says the trace on in the attempt's fields, and notes the attempt.
    pub(super) fn attempt(
        &self,
        endpoint: &Arc<EndpointLabel>,
        headers: &mut HeaderMap,
    ) -> Option<AttemptNote> {
        let span = self.passage.as_ref().map(|passage| passage.go_on(headers, &self.worker.observer.ids));
        self.story.as_ref().map(|story| story.attempt(endpoint, span.unwrap_or(0)))
    }

    /// For the response's body to end the story.
    pub(super) fn story(&self) -> Option<Rc<Story>> {
        self.story.clone()
    }

    /// The proxy answers itself.
    pub(super) fn refused(&self, refusal: Refusal) {
        self.worker.shard.refused(refusal.reason());
        self.story.iter().for_each(|story| story.refused(refusal));
        self.answered(refusal.status().as_u16());
    }

    /// The response's head is known.
    pub(super) fn answered(&self, status: u16) {
        self.ended.set(true);
        self.story.iter().for_each(|story| story.answered(status));
        if let Some(counters) = &*self.counters.borrow() {
            counters.answered(status, self.started.elapsed());
        }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.counters.borrow().as_ref().filter(|_| !self.ended.get()) {
            counters.abandoned();
        }
    }
}
