//! One lease on one proxy: what was asked, what was answered, what is due.

use protocol::action::{ActionRequest, RenewRequest};
use protocol::id::{Epoch, ServiceName};
use protocol::snapshot::ProxyStatus;

use crate::domain::{Action, Outcome, Refusal, Reply, Verb};

/// A command without an answer for so long is lost, milliseconds.
const LOST_MS: i64 = 5_000;
/// Between tries, milliseconds.
const RETRY_MS: i64 = 1_000;
/// Before a proxy that could not be reached is asked anew, milliseconds.
const COME_BACK_MS: i64 = 1_000;
/// Tries to reach a proxy, or to let go of a lease.
const MAX_TRIES: u32 = 4;
/// A proxy whose status does not list a lease so long after it was taken has lost it, milliseconds.
const LISTED_AFTER_MS: i64 = 5_000;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HolderState {
    /// Asked, or to be asked.
    Putting,
    /// Held.
    Held,
    /// Could not be reached so often that we stopped.
    Unreachable,
    /// Refused for good.
    Refused,
    /// To be removed.
    LettingGo,
    /// Removed, or run out.
    Gone,
}

/// What is sent to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Put,
    Renew,
    Remove,
}

impl Sent {
    pub(super) fn verb(self, action: &Action, epoch: u64) -> Option<Verb> {
        let lease_ms = action.action.lease_ms;
        Some(match self {
            Self::Put => Verb::Put(ActionRequest {
                epoch: Epoch(epoch),
                lease_ms,
                service: ServiceName::new(action.action.service.clone()).ok()?,
                kind: action.action.kind.clone(),
                reason: action.reason.clone(),
                confidence: action.confidence,
                issued_by: action.issued_by.clone(),
            }),
            Self::Renew => Verb::Renew(RenewRequest { epoch: Epoch(epoch), lease_ms }),
            Self::Remove => Verb::Remove { epoch },
        })
    }
}

#[derive(Debug)]
pub(super) struct Holder {
    pub(super) state: HolderState,
    pub(super) last_refusal: Option<Refusal>,
    boot: String,
    waiting_since_ms: Option<i64>,
    next_try_ms: i64,
    tries: u32,
    held_since_ms: i64,
    renewed_ms: i64,
    expires_ms: i64,
    told: Option<Refusal>,
}

impl Holder {
    pub(super) fn new(boot: &str) -> Self {
        Self {
            state: HolderState::Putting,
            last_refusal: None,
            boot: boot.to_owned(),
            waiting_since_ms: None,
            next_try_ms: i64::MIN,
            tries: 0,
            held_since_ms: 0,
            renewed_ms: 0,
            expires_ms: i64::MAX,
            told: None,
        }
    }

    /// Whether `what` should be sent now.
    pub(super) fn due(&self, what: Sent, now_ms: i64, lease_ms: u64) -> bool {
        let free = self.waiting_since_ms.is_none() && now_ms >= self.next_try_ms;
        let third = i64::try_from(lease_ms / 3).unwrap_or(i64::MAX);
        free && match what {
            Sent::Put => self.state == HolderState::Putting,
            Sent::Renew => self.state == HolderState::Held && now_ms - self.renewed_ms >= third,
            Sent::Remove => self.state == HolderState::LettingGo,
        }
    }

    pub(super) fn sent(&mut self, what: Sent, now_ms: i64) {
        self.waiting_since_ms = Some(now_ms);
        if what == Sent::Put {
            // Whatever the answer, the lease may be there from now on.
            self.expires_ms = i64::MAX;
        }
    }

    pub(super) fn answered(&mut self, reply: &Reply, lease_ms: u64) {
        self.waiting_since_ms = None;
        match &reply.outcome {
            Outcome::Taken(_) => {
                let lease_ms = i64::try_from(lease_ms).unwrap_or(i64::MAX);
                self.expires_ms = reply.at_ms.saturating_add(lease_ms);
                self.renewed_ms = reply.at_ms;
                self.tries = 0;
                self.last_refusal = None;
                if self.state == HolderState::Putting {
                    self.state = HolderState::Held;
                    self.held_since_ms = reply.at_ms;
                }
            }
            Outcome::Removed => self.removed(&reply.command.verb),
            Outcome::Refused(refusal) => self.refused(refusal, reply),
        }
    }

    /// "It is not there": what we want when letting go, a loss when renewing.
    fn removed(&mut self, verb: &Verb) {
        self.state = match (verb, self.state) {
            (Verb::Renew(_), HolderState::Held) => HolderState::Putting,
            (Verb::Renew(_) | Verb::Put(_), state) => state,
            (Verb::Remove { .. }, _) => HolderState::Gone,
        };
        self.next_try_ms = i64::MIN;
    }

    fn refused(&mut self, refusal: &Refusal, reply: &Reply) {
        self.tries += 1;
        self.next_try_ms = reply.at_ms + RETRY_MS;
        self.last_refusal = Some(refusal.clone());
        let passing = refusal.status == 0 || refusal.status >= 500 || refusal.status == 429;
        let lost = refusal.status == 404;
        self.state = match (&reply.command.verb, self.state) {
            (Verb::Renew(_), HolderState::Held) if lost => HolderState::Putting,
            (Verb::Renew(_), HolderState::Held) if passing => HolderState::Held,
            (Verb::Remove { .. }, _) if lost => HolderState::Gone,
            (Verb::Remove { .. }, state) => state,
            (_, HolderState::Putting) if passing && self.tries < MAX_TRIES => HolderState::Putting,
            (_, HolderState::Putting) if passing => HolderState::Unreachable,
            (_, HolderState::LettingGo) => HolderState::LettingGo,
            _ => HolderState::Refused,
        };
    }

    /// Looks at the clock, and at what the proxy says it holds.
    pub(super) fn notice(&mut self, status: Option<&ProxyStatus>, action: &str, now_ms: i64) {
        if self.waiting_since_ms.is_some_and(|since| now_ms - since > LOST_MS) {
            self.waiting_since_ms = None;
            self.tries += 1;
        }
        if now_ms >= self.expires_ms && self.state != HolderState::Gone {
            self.state = HolderState::Gone;
        }
        let letting_go_in_vain = self.state == HolderState::LettingGo && self.tries >= MAX_TRIES;
        if letting_go_in_vain && self.expires_ms == i64::MAX {
            self.state = HolderState::Gone;
        }
        let Some(status) = status else { return };
        let listed = status.leases.iter().any(|lease| lease.receipt.id.as_str() == action);
        let restarted = status.boot != self.boot;
        let lost = restarted || now_ms - self.held_since_ms > LISTED_AFTER_MS;
        if self.state == HolderState::Held && !listed && lost {
            self.state = HolderState::Putting;
            self.waiting_since_ms = None;
            self.boot.clone_from(&status.boot);
        }
    }

    /// A proxy that was lost and answers again is asked again.
    pub(super) fn come_back(&mut self, status: Option<&ProxyStatus>, now_ms: i64) {
        let lost = matches!(self.state, HolderState::Unreachable | HolderState::Gone);
        let Some(status) = status.filter(|_| lost && now_ms >= self.next_try_ms) else { return };
        self.state = HolderState::Putting;
        self.boot.clone_from(&status.boot);
        self.waiting_since_ms = None;
        self.next_try_ms = now_ms + COME_BACK_MS;
        self.tries = 0;
        self.expires_ms = i64::MAX;
    }

    pub(super) fn let_go(&mut self) {
        if self.state != HolderState::Gone {
            self.state = HolderState::LettingGo;
            self.waiting_since_ms = None;
            self.next_try_ms = i64::MIN;
            self.tries = 0;
        }
    }

    /// Nothing is there, and nothing will be asked.
    pub(super) fn over(&self, removing: bool) -> bool {
        match self.state {
            HolderState::Gone => true,
            HolderState::Refused | HolderState::Unreachable => !removing,
            _ => false,
        }
    }

    /// Why it was refused for good.
    pub(super) fn refusal(&self) -> Option<String> {
        let refused = self.state == HolderState::Refused;
        refused.then(|| self.last_refusal.as_ref().map(|r| r.detail.clone()).unwrap_or_default())
    }

    /// Whether this refusal was not told before.
    pub(super) fn news(&mut self, refusal: &Refusal) -> bool {
        let new = self.told.as_ref() != Some(refusal);
        self.told = Some(refusal.clone());
        new
    }
}
