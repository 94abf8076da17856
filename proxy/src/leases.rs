//! The active leases: a pure set, with time as an argument.
//!
//! An action is a lease: a typed change with an id, an epoch and an expiry by the proxy's own monotonic
//! clock. What the set means for traffic is [`crate::live_state::derive`]'s business; what may enter it
//! is judged here. Absent on purpose: any clock, file or table.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::action::{ActionKind, ActionRequest, LeaseRow, Receipt};
use protocol::id::{ActionId, ServiceName};

use crate::state_file::{Promotion, Promotions};

mod admission;
mod refusal;
#[cfg(test)]
pub(crate) mod sample;
mod validation;

pub use validation::lease_ms as check_lease_ms;

pub use admission::{admit, fitting};
pub use refusal::Refusal;

/// The most leases at once.
pub const MAX_LEASES: usize = 256;

/// One change, for as long as it lives.
#[derive(Debug, Clone)]
pub struct Lease {
    /// As it was put.
    pub request: ActionRequest,
    /// As it was answered; its expiry moves with each renewal.
    pub receipt: Receipt,
    /// When it ends, since the proxy's start, monotonic.
    pub expires_at: Duration,
    /// Its place in the order in which leases were applied; a renewal keeps it.
    pub sequence: u64,
}

/// The set of active leases, by id, and the one change that needs none: which versions were promoted.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    by_id: BTreeMap<ActionId, Lease>,
    next_sequence: u64,
    promotions: Promotions,
}

impl Leases {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The lease with this id.
    #[must_use]
    pub fn get(&self, id: &ActionId) -> Option<&Lease> {
        self.by_id.get(id)
    }

    /// No lease, and what was promoted in an earlier life.
    #[must_use]
    pub fn promoted(promotions: Promotions) -> Self {
        Self { promotions, ..Self::default() }
    }

    /// What is promoted.
    #[must_use]
    pub fn promotions(&self) -> &Promotions {
        &self.promotions
    }

    /// The version of `service` that is promoted.
    #[must_use]
    pub fn promotion(&self, service: &ServiceName) -> Option<&str> {
        self.promotions.get(service).map(|promotion| promotion.version.as_str())
    }

    /// What would be promoted with one more action: a promotion outlives its lease, a rollback ends it.
    #[must_use]
    pub fn promotions_with(&self, request: &ActionRequest) -> Promotions {
        let mut promotions = self.promotions.clone();
        let service = &request.service;
        match &request.kind {
            ActionKind::PromoteCanary { version } if self.promotion(service) != Some(version) => {
                let before = self.promotion(service).map(str::to_owned);
                promotions.insert(service.clone(), Promotion { version: version.clone(), before });
            }
            ActionKind::RollbackCanary { version } if self.promotion(service) == Some(version) => {
                let before = promotions.remove(service).and_then(|promotion| promotion.before);
                let back = before.map(|version| Promotion { version, before: None });
                promotions.extend(back.map(|promotion| (service.clone(), promotion)));
            }
            _ => {}
        }
        promotions
    }

    /// Ends all leases; what is promoted stays.
    pub fn clear(&mut self) {
        self.by_id.clear();
    }

    /// Adds one, as the latest.
    pub fn insert(&mut self, request: ActionRequest, receipt: Receipt, expires_at: Duration) {
        self.promotions = self.promotions_with(&request);
        let lease = Lease { request, expires_at, sequence: self.next_sequence, receipt };
        self.next_sequence += 1;
        self.by_id.insert(lease.receipt.id.clone(), lease);
    }

    /// Moves one's expiry.
    pub fn renew(&mut self, id: &ActionId, expires_at: Duration, wall: jiff::Timestamp) -> Option<Receipt> {
        let lease = self.by_id.get_mut(id)?;
        lease.expires_at = expires_at;
        lease.receipt.expires_at = wall;
        Some(lease.receipt.clone())
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &ActionId) -> Option<Lease> {
        self.by_id.remove(id)
    }

    /// Takes out those that have ended by `now`.
    pub fn expire(&mut self, now: Duration) -> Vec<Lease> {
        let ended: Vec<ActionId> =
            self.by_id.iter().filter(|(_, l)| l.expires_at <= now).map(|(id, _)| id.clone()).collect();
        ended.iter().filter_map(|id| self.by_id.remove(id)).collect()
    }

    /// When the next one ends.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        self.by_id.values().map(|lease| lease.expires_at).min()
    }

    /// All of them in the order in which they were applied.
    #[must_use]
    pub fn as_applied(&self) -> Vec<&Lease> {
        let mut leases: Vec<&Lease> = self.by_id.values().collect();
        leases.sort_by_key(|lease| lease.sequence);
        leases
    }

    /// All of them as the API lists them, by id.
    #[must_use]
    pub fn rows(&self) -> Vec<LeaseRow> {
        let row = |lease: &Lease| LeaseRow { request: lease.request.clone(), receipt: lease.receipt.clone() };
        self.by_id.values().map(row).collect()
    }

    /// Only those for which `keep` says so; their order stays.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&ActionId) -> bool) -> Self {
        let mut kept = self.clone();
        kept.by_id.retain(|id, _| keep(id));
        kept
    }
}
