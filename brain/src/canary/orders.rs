//! What people may tell a rollout.

use super::{Canary, HoldKind, Move, Pause, Phase};

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stay as it is.
    Pause,
    /// Go on; agrees to the next step where that waits for a person.
    Resume,
    /// Make it the stable version, whatever evidence is missing.
    Promote,
    /// Take it out.
    Rollback,
}

/// Why an order cannot be carried out now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OrderRefused(pub String);

/// Why an order makes no sense in a phase, and what would.
fn out_of_place(order: Order, phase: Phase) -> &'static str {
    match (order, phase) {
        (_, phase) if phase.is_over() => "it is over; begin another with `lightsout canary start`",
        (_, Phase::RollingBack) => "it is being taken out, and nothing holds that up",
        (Order::Pause, Phase::Promoting) => "it is on its way to everybody; roll it back instead",
        (Order::Resume, _) => "it is not paused and waits for nobody's yes",
        (Order::Promote, _) => "nobody has got it yet; promote it once it has begun",
        _ => "that is not possible now",
    }
}

impl Canary {
    /// Carries out what a person or a pipeline says.
    ///
    /// # Errors
    /// [`OrderRefused`]: it makes no sense where the rollout stands; nothing has changed.
    pub fn order(&mut self, order: Order, by: &str, reason: &str, now_ms: i64) -> Result<(), OrderRefused> {
        self.turned_ms = self.turned_ms.max(now_ms);
        let words =
            |what: &str| if reason.is_empty() { format!("{what} by {by}") } else { reason.to_owned() };
        match (order, self.phase) {
            (Order::Pause, Phase::Pending | Phase::Step) => {
                self.pause = Some(Pause { from: self.phase, incident: None });
                self.go(Phase::Paused, words("paused"), by);
            }
            // From an incident's pause to a person's: it does not end by itself any more.
            (Order::Pause, Phase::Paused) => {
                if let Some(pause) = &mut self.pause {
                    pause.incident = None;
                }
            }
            (Order::Resume, Phase::Paused) => {
                let from = self.pause.as_ref().map_or(Phase::Step, |pause| pause.from);
                self.last_request_ms = self.turned_ms;
                self.forgive();
                self.go(from, words("resumed"), by);
            }
            (Order::Resume, Phase::Step) if self.waits_for_a_person() => self.agreed(by, reason),
            (Order::Resume, Phase::Step) if self.asks() => {
                return Err(self.refused("what waits for a yes is the promotion: promote it"));
            }
            (Order::Promote, _) if !self.spec.promotes() => {
                return Err(self.refused("this strategy has a read-out and no promotion"));
            }
            (Order::Promote, Phase::Step | Phase::Paused) if self.has_begun => {
                self.approved = usize::MAX;
                self.go(Phase::Promoting, words("promoted"), by);
            }
            (Order::Promote, Phase::Promoting | Phase::Promoted) => {}
            (Order::Rollback, Phase::Promoted) if !self.may_be_taken_back() => {
                return Err(self.refused("its rollback window is over; start a canary the other way"));
            }
            (Order::Rollback, phase) if !phase.is_over() || phase == Phase::Promoted => {
                if phase != Phase::RollingBack {
                    self.back(Phase::RolledBack, words("rolled back"), by);
                }
            }
            (order, phase) => return Err(self.refused(out_of_place(order, phase))),
        }
        Ok(())
    }

    /// To the next step. Who did, and why, belongs to the story.
    fn agreed(&mut self, by: &str, reason: &str) {
        let next = self.spec.weights().get(self.step + 1).copied().unwrap_or(100);
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let (at_ms, phase, weight) = (self.turned_ms, self.phase, self.weight());
        self.why = format!("agreed to {next} %{why}");
        self.record.moved(Move { at_ms, phase, weight, by: by.to_owned(), why: self.why.clone() });
        self.approved = self.step + 1;
    }

    /// Whether `order` is an answer to what a person is asked now: yes, or not yet. Who said not yet may end that.
    #[must_use]
    pub fn is_answered_by(&self, order: Order, by: &str) -> bool {
        match order {
            Order::Pause => self.asks(),
            Order::Resume if self.phase == Phase::Paused => {
                self.record.moves.last().is_some_and(|last| last.by == by)
            }
            Order::Resume => self.waits_for_a_person(),
            Order::Promote => self.asks() && !self.waits_for_a_person(),
            Order::Rollback => false,
        }
    }

    fn asks(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Approval)
    }

    /// For another step; else for the promotion.
    fn waits_for_a_person(&self) -> bool {
        self.asks() && self.spec.weights().len() > self.step + 1
    }

    fn refused(&self, why: &str) -> OrderRefused {
        OrderRefused(format!("{} is {}: {why}", self.id, self.phase.name().replace('_', " ")))
    }
}
