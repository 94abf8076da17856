//! What control holds under its lock, and each change to it: plain functions, time as an argument.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use protocol::action::{ActionRequest, Receipt, RenewRequest};
use protocol::id::{ActionId, Epoch};

use crate::leases::{Leases, Refusal, admit, check_lease_ms, fitting};
use crate::live_state::{LiveState, derive};
use crate::settings::Settings;
use crate::state_file::Persisted;
use crate::table::Table;
use crate::upstream::endpoint_state::Registry;

/// Configuration and leases, and what they mean together.
pub(super) struct Inner {
    pub(super) settings: Arc<Settings>,
    pub(super) leases: Leases,
    pub(super) live: Arc<LiveState>,
    pub(super) held: Persisted,
    pub(super) generation: u64,
    pub(super) leases_dropped: u64,
    /// Whether another process is about to take actions in place of this one, or does.
    pub(super) handed_over: bool,
}

/// What a request would come to.
pub(super) enum Judged {
    /// It was taken before.
    Again(Receipt),
    /// It may be taken, and the live state would be this.
    New(Box<LiveState>),
}

impl Inner {
    pub(super) fn new(settings: Arc<Settings>, held: Persisted) -> Self {
        let leases = Leases::promoted(held.promotions.clone());
        let live = Arc::new(derive(&settings, &leases));
        Self { settings, leases, live, held, generation: 0, leases_dropped: 0, handed_over: false }
    }

    pub(super) fn table(&self, registry: &Registry) -> Table {
        Table::new(Arc::clone(&self.live), registry, self.generation)
    }

    pub(super) fn judge(
        &self,
        id: &ActionId,
        request: &ActionRequest,
        now: Duration,
    ) -> Result<Judged, Refusal> {
        self.not_frozen()?;
        self.may_act(request.epoch)?;
        if let Some(lease) = self.leases.get(id).filter(|lease| lease.expires_at > now) {
            // A brain that takes over repeats what it finds under its own epoch.
            let same = ActionRequest { epoch: request.epoch, ..lease.request.clone() };
            let again = Judged::Again(lease.receipt.clone());
            return if same == *request { Ok(again) } else { Err(Refusal::OtherAction(id.clone())) };
        }
        let mut with = self.leases.clone();
        with.expire(now);
        with.insert(request.clone(), self.receipt(id, request.lease_ms, Timestamp::UNIX_EPOCH), now);
        admit(&self.settings, &with, request).map(|live| Judged::New(Box::new(live)))
    }

    pub(super) fn put(
        &mut self,
        id: ActionId,
        request: ActionRequest,
        now: Duration,
        wall: Timestamp,
    ) -> Result<Receipt, Refusal> {
        self.expire(now);
        let live = match self.judge(&id, &request, now)? {
            Judged::Again(receipt) => return Ok(receipt),
            Judged::New(live) => live,
        };
        let mut receipt = self.receipt(&id, request.lease_ms, wall);
        receipt.live_state_hash_after.clone_from(&live.hash);
        tracing::info!(%id, service = %request.service, kind = request.kind.name(), by = request.issued_by, "action taken");
        let expires_at = now + Duration::from_millis(request.lease_ms);
        self.leases.insert(request, receipt.clone(), expires_at);
        self.held.promotions.clone_from(self.leases.promotions());
        self.live = Arc::new(*live);
        Ok(receipt)
    }

    pub(super) fn judge_renewal(
        &self,
        id: &ActionId,
        request: RenewRequest,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.not_frozen()?;
        self.may_act(request.epoch)?;
        self.live_lease(id, now)?;
        check_lease_ms(request.lease_ms)
    }

    pub(super) fn renew(
        &mut self,
        id: &ActionId,
        request: RenewRequest,
        now: Duration,
        wall: Timestamp,
    ) -> Result<Receipt, Refusal> {
        self.judge_renewal(id, request, now)?;
        let expires_at = now + Duration::from_millis(request.lease_ms);
        let renewed = self.leases.renew(id, expires_at, later(wall, request.lease_ms));
        renewed.ok_or_else(|| Refusal::UnknownAction(id.clone()))
    }

    pub(super) fn judge_undo(&self, id: &ActionId, epoch: Epoch, now: Duration) -> Result<(), Refusal> {
        self.may_act(epoch)?;
        self.live_lease(id, now)
    }

    pub(super) fn undo(
        &mut self,
        id: &ActionId,
        epoch: Epoch,
        now: Duration,
        wall: Timestamp,
    ) -> Result<Receipt, Refusal> {
        self.judge_undo(id, epoch, now)?;
        let before = self.live.hash.clone();
        let lease = self.leases.remove(id).ok_or_else(|| Refusal::UnknownAction(id.clone()))?;
        self.rederive();
        tracing::info!(%id, "action undone");
        Ok(Receipt {
            expires_at: wall,
            live_state_hash_before: before,
            live_state_hash_after: self.live.hash.clone(),
            ..lease.receipt
        })
    }

    pub(super) fn freeze(&mut self) {
        self.held.frozen = true;
        self.leases.clear();
        self.rederive();
    }

    /// Ends what has ended.
    pub(super) fn expire(&mut self, now: Duration) {
        let ended = self.leases.expire(now);
        if ended.is_empty() {
            return;
        }
        for lease in ended {
            tracing::info!(id = %lease.receipt.id, kind = lease.request.kind.name(), "lease expired");
        }
        self.rederive();
    }

    /// The live state afresh, without the leases that no longer fit.
    pub(super) fn rederive(&mut self) {
        let (kept, dropped) = fitting(&self.settings, &self.leases);
        for (lease, why) in &dropped {
            tracing::warn!(id = %lease.receipt.id, "lease dropped, it no longer fits: {why}");
        }
        self.leases_dropped += dropped.len() as u64;
        self.leases = kept;
        self.live = Arc::new(derive(&self.settings, &self.leases));
    }

    fn not_frozen(&self) -> Result<(), Refusal> {
        if self.held.frozen { Err(Refusal::Frozen) } else { Ok(()) }
    }

    fn may_act(&self, given: Epoch) -> Result<(), Refusal> {
        if self.handed_over {
            return Err(Refusal::HandedOver);
        }
        let seen = self.held.epoch;
        if given > Epoch::MAX {
            let most = Epoch::MAX;
            return Err(Refusal::Invalid(format!("epoch {given} is out of range: 0 to {most}")));
        }
        if given < seen { Err(Refusal::StaleEpoch { given, seen }) } else { Ok(()) }
    }

    /// A lease past its end is gone, even if its timer has yet to run.
    fn live_lease(&self, id: &ActionId, now: Duration) -> Result<(), Refusal> {
        let lease = self.leases.get(id).filter(|lease| lease.expires_at > now);
        lease.map(|_| ()).ok_or_else(|| Refusal::UnknownAction(id.clone()))
    }

    fn receipt(&self, id: &ActionId, lease_ms: u64, wall: Timestamp) -> Receipt {
        Receipt {
            id: id.clone(),
            applied_at: wall,
            expires_at: later(wall, lease_ms),
            live_state_hash_before: self.live.hash.clone(),
            live_state_hash_after: String::new(),
            answer: None,
        }
    }
}

fn later(wall: Timestamp, ms: u64) -> Timestamp {
    let span = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    wall.checked_add(span).unwrap_or(Timestamp::MAX)
}
