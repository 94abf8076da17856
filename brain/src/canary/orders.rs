//! What people may tell a rollout.

use super::{Canary, HoldKind, Pause, Phase};

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
            (Order::Resume, Phase::Step) if self.waits_for_a_person() => self.approved = self.step + 1,
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
            _ => return Err(self.refused("that is not possible now")),
        }
        Ok(())
    }

    fn waits_for_a_person(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Approval)
            && self.spec.weights().len() > self.step + 1
    }

    fn refused(&self, why: &str) -> OrderRefused {
        OrderRefused(format!("{} is {}: {why}", self.id, self.phase.name().replace('_', " ")))
    }
}
