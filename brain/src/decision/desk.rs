//! The desk: proposals that wait for an answer, and those that had one.

use std::collections::VecDeque;

use crate::domain::{Proposal, ProposalState};
use crate::guard::target;

/// Proposals kept, waiting or not.
const MAX_KEPT: usize = 500;

/// All proposals, newest first.
#[derive(Debug)]
pub struct Desk {
    proposals: VecDeque<Proposal>,
    next: u64,
}

impl Desk {
    /// An empty one whose first proposal is `prop-{first}`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { proposals: VecDeque::new(), next: first.max(1) }
    }

    /// The next proposal's id.
    pub fn next_id(&mut self) -> String {
        let id = format!("prop-{}", self.next);
        self.next += 1;
        id
    }

    /// Keeps a proposal.
    pub fn put(&mut self, proposal: Proposal) {
        self.proposals.push_front(proposal);
        self.proposals.truncate(MAX_KEPT);
    }

    /// One of them.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Proposal> {
        self.proposals.iter_mut().find(|p| p.id == id)
    }

    /// One of them, to look at.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Proposal> {
        self.proposals.iter().find(|p| p.id == id)
    }

    /// Whether an answer is awaited about what `aim` names.
    #[must_use]
    pub fn waits_for(&self, aim: &str) -> bool {
        self.proposals.iter().any(|p| p.state == ProposalState::Pending && target(&p.action) == aim)
    }

    /// What was said of the probability that a proposal helps, before it was corrected; 1 where it is not known.
    #[must_use]
    pub fn said(&self, id: &str) -> f64 {
        self.get(id).and_then(|p| p.speakers.last()).map_or(1.0, |speaker| speaker.confidence)
    }

    /// The one that waits for an answer about an incident.
    pub fn pending_for(&mut self, incident: &str) -> Option<&mut Proposal> {
        let waits =
            |p: &&mut Proposal| p.state == ProposalState::Pending && p.incident.as_deref() == Some(incident);
        self.proposals.iter_mut().find(waits)
    }

    /// Takes those that wait in vain off the desk: too old, or `over`.
    pub fn expire(&mut self, now_ms: i64, over: impl Fn(&str) -> bool) -> Vec<Proposal> {
        let mut expired = Vec::new();
        for proposal in self.proposals.iter_mut().filter(|p| p.state == ProposalState::Pending) {
            if proposal.expires_ms <= now_ms || proposal.incident.as_deref().is_some_and(&over) {
                proposal.state = ProposalState::Expired;
                expired.push(proposal.clone());
            }
        }
        expired
    }

    /// All of them, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Proposal> {
        self.proposals.iter().cloned().collect()
    }
}
