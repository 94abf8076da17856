//! The language model's post: questions go out, answers come back as requests of a pipeline called `advisor`,
//! some seconds later or never. A turn of the loop waits for none of it.

mod budget;
mod client;

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use budget::{Budget, Limits};
pub use client::{Client, Provider};

use crate::decision::advisor::Question;
use crate::domain::{Actor, ActorKind, PersonRequest};
use crate::runtime::Ask;

/// Answers kept, so that the same question costs nothing.
const MAX_CACHED: usize = 64;
/// Questions that wait.
pub const MAX_WAITING: usize = 16;

/// All that stands between a question and a model.
#[derive(Debug)]
pub struct Advisor {
    client: Client,
    budget: Budget,
    /// By the question's digest, oldest first.
    cache: VecDeque<(String, String)>,
    started: Instant,
}

impl Advisor {
    /// One that asks by `client` within `limits`.
    #[must_use]
    pub fn new(client: Client, limits: Limits) -> Self {
        Self { client, budget: Budget::new(limits), cache: VecDeque::new(), started: Instant::now() }
    }

    /// Answers questions until `stop`, one after the other.
    pub async fn run(
        mut self,
        mut questions: mpsc::Receiver<Question>,
        asks: mpsc::Sender<Ask>,
        stop: CancellationToken,
    ) {
        while let Some(Some(question)) = stop.run_until_cancelled(questions.recv()).await {
            let Some(answer) = stop.run_until_cancelled(self.answer(&question)).await else { return };
            let request = PersonRequest::Advise {
                question: question.digest.clone(),
                model: self.client.model().to_owned(),
                answer,
            };
            let (told, _nobody_waits) = oneshot::channel();
            let actor = Actor { kind: ActorKind::Pipeline, id: "advisor".to_owned() };
            if asks.try_send(Ask { actor, request, answer: told }).is_err() {
                tracing::warn!("an advice came while the control loop takes no more requests");
            }
        }
    }

    /// What the model says, from the cache where it said it before.
    ///
    /// # Errors
    /// Why it says nothing: the budget, the breaker, the wire.
    pub async fn answer(&mut self, question: &Question) -> Result<String, String> {
        if let Some((_, known)) = self.cache.iter().find(|(digest, _)| *digest == question.digest) {
            return Ok(known.clone());
        }
        self.budget.may_ask(self.started.elapsed())?;
        let asked = self.client.ask(question).await;
        let now = self.started.elapsed();
        match asked {
            Ok(said) => {
                self.budget.asked(said.tokens, true, now);
                if self.cache.len() >= MAX_CACHED {
                    self.cache.pop_front();
                }
                self.cache.push_back((question.digest.clone(), said.text.clone()));
                Ok(said.text)
            }
            Err(why) => {
                // What it cost is not known; a failed call is counted as a call.
                self.budget.asked(0, false, now);
                Err(why)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
