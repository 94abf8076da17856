//! A request's attempts, one after the other, until one is good enough or there may be no more.
//!
//! What decides, in this order: whether this failure is one that is tried again, whether the request may be
//! sent again and still can be, whether there is time, and whether the service's budget has one left. A
//! request of a service without retries has one attempt and pays nothing for the others.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response};
use tokio::time::{Instant, sleep};

use super::exchange::{self, Failed, Times};
use super::flight::Flight;
use super::passing::Passing;
use super::seen::Seen;
use super::verdict::{Again, verdict};
use super::{Asker, hedge};
use crate::error::Refusal;
use crate::middleware::grpc;
use crate::routing::view::{RouteView, Target};
use crate::settings::{Retry, Server};
use crate::upstream::admission::Admission;
use crate::upstream::group::EndpointView;
use crate::upstream::preference::Preference;
use crate::upstream::upload::{Resend, Upload, UploadProgress};
use crate::worker::Worker;

/// One request to one service, as all of its attempts have it.
pub(super) struct Call<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) route: &'a RouteView,
    pub(super) target: &'a Target,
    pub(super) server: &'a Server,
    pub(super) seen: &'a Seen<'a>,
    pub(super) asker: Asker,
    pub(super) upload: Rc<UploadProgress>,
    /// Whether it is a gRPC call.
    pub(super) is_call: bool,
    /// When its head was there.
    pub(super) started: Instant,
    /// When its response's head must be there.
    pub(super) until: Instant,
}

/// Whom an attempt goes to, and the right to ask.
pub(super) type Chosen = (Rc<EndpointView>, Admission);
/// What came of an attempt.
pub(super) type Tried = Result<Response<Box<Passing>>, Box<Failed>>;

impl Call<'_> {
    /// Sends to `first`, and elsewhere if that is what it takes.
    ///
    /// # Errors
    /// No attempt got a response; the last one's reason.
    pub(super) async fn answer(
        &self,
        request: Box<Request<Upload>>,
        preference: &mut Preference,
        first: Chosen,
    ) -> Result<Response<Box<Passing>>, Refusal> {
        let Some(retry) = &self.target.terms.retry else {
            return self.attempt(first, request, self.started).await.map_err(|failed| failed.refusal);
        };
        // On the heap: what most requests do not need is not to make all of them larger.
        Box::pin(self.answer_within(retry, request, preference, first)).await
    }

    /// As [`Self::answer`], with as many attempts as `retry` grants.
    async fn answer_within(
        &self,
        retry: &Retry,
        request: Box<Request<Upload>>,
        preference: &mut Preference,
        first: Chosen,
    ) -> Result<Response<Box<Passing>>, Refusal> {
        let now_ms = self.worker.now_ms(self.started);
        self.target.service.retries.request(now_ms);
        let (head, upload) = (*request).into_parts();
        let (upload, resend) = upload.kept(retry.max_body_bytes);
        let mut again = Attempts { call: self, retry, resend, made: 1 };
        preference.not_again(&first.0);
        let request = Box::new(Request::from_parts(head.clone(), upload));
        let (mut tried, hedged) = hedge::attempt(&again, first, request, preference).await;
        again.made += u32::from(hedged);
        while let Some((chosen, upload)) = again.next(&tried, &head.method, preference).await {
            give_way(tried);
            again.made += 1;
            preference.not_again(&chosen.0);
            let request = Box::new(Request::from_parts(head.clone(), upload));
            tried = self.attempt(chosen, request, Instant::now()).await;
        }
        tried.map_err(|failed| failed.refusal)
    }

    /// One attempt, counted from `began`.
    pub(super) async fn attempt(
        &self,
        (endpoint, admission): Chosen,
        mut request: Box<Request<Upload>>,
        began: Instant,
    ) -> Tried {
        let (terms, upload) = (&self.target.terms, Rc::clone(&self.upload));
        if self.is_call {
            grpc::spend(request.headers_mut(), self.started.elapsed());
        }
        let note = self.seen.attempt(&endpoint.label, request.headers_mut());
        let way = (&self.route.name, &self.target.counters);
        let flight = Flight::begin(self.worker, &endpoint, admission, way, self.asker, upload, note, began);
        let until = terms.per_try.map_or(self.until, |per_try| self.until.min(began + per_try));
        let times = Times { connect: terms.connect_timeout, until, idle: terms.idle_timeout };
        exchange::forward(flight, request, self.server, times).await
    }
}

/// What of a request's attempts is left.
pub(super) struct Attempts<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) retry: &'a Retry,
    /// Absent: its body is too long to be sent again.
    pub(super) resend: Option<Resend>,
    made: u32,
}

impl Attempts<'_> {
    /// Waits, and chooses who is asked next; `None` where what was tried is the answer.
    async fn next(
        &self,
        tried: &Tried,
        method: &Method,
        preference: &Preference,
    ) -> Option<(Chosen, Upload)> {
        let again = verdict(tried, method, self.retry);
        if again == Again::No {
            return None;
        }
        let (wait, resend) = match self.may(again) {
            Ok(granted) => granted,
            Err(why) => return self.refuse(why),
        };
        sleep(wait).await;
        let now_ms = self.call.worker.now_ms(Instant::now());
        let Some(chosen) = self.call.target.group.choose(preference, now_ms) else {
            return self.refuse("no_endpoint");
        };
        match resend.again() {
            Some(upload) => {
                self.call.worker.shard.retry("retried");
                Some((chosen, upload))
            }
            None => self.refuse("body_too_long"),
        }
    }

    /// How long to wait before the next attempt, and what it sends, if there may be one.
    fn may(&self, again: Again) -> Result<(Duration, &Resend), &'static str> {
        if again == Again::NotThisMethod {
            return Err("method");
        }
        if self.made >= self.retry.max_attempts {
            return Err("max_attempts");
        }
        let wait = self.backoff();
        if Instant::now() + wait >= self.call.until {
            return Err("no_time");
        }
        let resend = self.resend.as_ref().filter(|resend| resend.is_possible()).ok_or("body_too_long")?;
        if self.spend() { Ok((wait, resend)) } else { Err("no_budget") }
    }

    /// Full jitter ("Exponential Backoff and Jitter", AWS Architecture Blog): anything up to a bound that
    /// doubles.
    fn backoff(&self) -> Duration {
        let doubled = self.retry.backoff.saturating_mul(1 << (self.made - 1).min(16));
        doubled.min(self.retry.backoff_max).mul_f64(self.call.worker.observer.ids.share())
    }

    /// Takes one retry or hedge out of the service's budget.
    pub(super) fn spend(&self) -> bool {
        let now_ms = self.call.worker.now_ms(Instant::now());
        self.call.target.service.retries.spend(&self.retry.budget, self.call.server.workers, now_ms)
    }

    fn refuse<T>(&self, why: &'static str) -> Option<T> {
        self.call.worker.shard.retry(why);
        None
    }
}

/// Another attempt is made instead of this one.
pub(super) fn give_way(tried: Tried) {
    match tried {
        Ok(response) => response.into_body().give_way(),
        Err(mut failed) => failed.flight.give_way(),
    }
}
