//! A second attempt beside one that is late: the first answer is the client's ("The Tail at Scale", Dean and
//! Barroso, 2013). Only for what has no body and may be sent twice; out of the same budget as retries.

use std::pin::pin;

use http::{Method, Request};
use tokio::time::{Instant, sleep_until};

use super::attempts::{Attempts, Chosen, Tried, give_way};
use super::verdict::{Again, verdict};
use crate::settings::Hedge;
use crate::upstream::preference::Preference;
use crate::upstream::upload::Upload;

/// The first attempt, with another beside it where it is late; and whether there was one. `preference` is
/// told whom that one went to.
pub(super) async fn attempt(
    again: &Attempts<'_>,
    first: Chosen,
    request: Box<Request<Upload>>,
    preference: &mut Preference,
) -> (Tried, bool) {
    let call = again.call;
    let Some(late) = late_at(again, request.method()) else {
        return (call.attempt(first, request, call.started).await, false);
    };
    let head = request_head(&request);
    let mut primary = pin!(call.attempt(first, request, call.started));
    let early = tokio::select! {
        biased;
        tried = &mut primary => Some(tried),
        () = sleep_until(late) => None,
    };
    let raced = match early {
        Some(tried) => (tried, false),
        None => match second(again, preference) {
            None => (primary.await, false),
            Some((second, upload)) => {
                preference.not_again(&second.0);
                let beside = call.attempt(second, Box::new(head.map(|()| upload)), Instant::now());
                (race(again, primary, beside).await, true)
            }
        },
    };
    // One that was outrun took at least as long.
    call.target.service.lateness.observe(call.started.elapsed());
    raced
}

/// When the answer would be late; `None` where no second attempt may be made.
fn late_at(again: &Attempts<'_>, method: &Method) -> Option<Instant> {
    let Hedge { quantile, at_least } = again.retry.hedge.filter(|_| again.retry.methods.contains(method))?;
    again.resend.as_ref().filter(|resend| resend.is_empty())?;
    let lateness = &again.call.target.service.lateness;
    // Before enough is known nothing is late: what is measured so far is noted all the same.
    let after = lateness
        .quantile(quantile)
        .map_or(again.call.until, |usual| again.call.started + usual.max(at_least));
    Some(after)
}

/// Another endpoint than the first, if there is one and the budget has room.
fn second(again: &Attempts<'_>, preference: &Preference) -> Option<(Chosen, Upload)> {
    let call = again.call;
    let now_ms = call.worker.now_ms(Instant::now());
    let elsewhere = call.target.group.choose(preference, now_ms);
    let chosen = elsewhere.filter(|(endpoint, _)| !preference.has_tried(endpoint))?;
    if !again.spend() {
        call.worker.shard.hedge("no_budget");
        return None;
    }
    Some((chosen, again.resend.as_ref()?.again()?))
}

/// Whichever is good first; where one fails, the other.
async fn race(
    again: &Attempts<'_>,
    mut primary: std::pin::Pin<&mut impl Future<Output = Tried>>,
    beside: impl Future<Output = Tried>,
) -> Tried {
    let mut beside = pin!(beside);
    let (tried, won) = tokio::select! {
        biased;
        tried = &mut primary => (tried, false),
        tried = &mut beside => (tried, true),
    };
    let shard = &again.call.worker.shard;
    if verdict(&tried, &Method::GET, again.retry) == Again::No {
        shard.hedge(if won { "won" } else { "lost" });
        return tried;
    }
    give_way(tried);
    again.call.upload.answered.set(false);
    shard.hedge(if won { "failed" } else { "saved" });
    if won { primary.await } else { beside.await }
}

fn request_head(request: &Request<Upload>) -> Request<()> {
    let mut head = Request::new(());
    (*head.method_mut(), *head.uri_mut()) = (request.method().clone(), request.uri().clone());
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}
