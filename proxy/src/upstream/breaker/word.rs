//! The breaker's state in one 64-bit word, and its transitions: pure functions of it and the time.
//!
//! Bounds by the layout: at most 65,535 failures or successes are counted and at most 63 probes at once;
//! larger settings mean those. Times are milliseconds, of which 40 bits (34 years) are kept.

use protocol::snapshot::BreakerState;

use super::Ticket;
use crate::settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) state: BreakerState,
    /// Probes on their way (half open).
    pub(super) probes: u8,
    /// Consecutive failures (closed) or successes (half open).
    pub(super) count: u16,
    /// When it opened last: which period this is. Kept while it is closed, so that what was sent before
    /// an opening is known after it.
    pub(super) opened_ms: u64,
}

const MAX_PROBES: u32 = (1 << 6) - 1;
const TIME_MASK: u64 = (1 << 40) - 1;

impl Word {
    pub(super) fn pack(self) -> u64 {
        let head = u64::from(self.state.code()) | u64::from(self.probes) << 2 | u64::from(self.count) << 8;
        head | (self.opened_ms & TIME_MASK) << 24
    }

    pub(super) fn unpack(word: u64) -> Self {
        let state = match word & 3 {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        let probes = (word >> 2) as u8 & MAX_PROBES as u8;
        Self { state, probes, count: (word >> 8) as u16, opened_ms: word >> 24 }
    }

    fn open(now_ms: u64) -> Self {
        Self { state: BreakerState::Open, probes: 0, count: 0, opened_ms: now_ms & TIME_MASK }
    }

    /// Closed, with nothing counted, in the same period.
    pub(super) fn closed(self) -> Self {
        Self { state: BreakerState::Closed, probes: 0, count: 0, ..self }
    }

    /// The right to send where nothing is bounded.
    pub(super) fn flow(self) -> Ticket {
        Ticket::Flow { opened_ms: self.opened_ms }
    }

    /// Whether a result of this ticket still says something.
    pub(super) fn is_of_now(self, ticket: Ticket) -> bool {
        match (self.state, ticket) {
            (BreakerState::Closed, Ticket::Flow { opened_ms })
            | (BreakerState::HalfOpen, Ticket::Probe { opened_ms }) => opened_ms == self.opened_ms,
            _ => false,
        }
    }

    pub(super) fn admit(self, rules: &settings::Breaker, now_ms: u64) -> Option<(Self, Ticket)> {
        match self.state {
            BreakerState::Closed => Some((self, self.flow())),
            BreakerState::Open => {
                let open_for = (now_ms & TIME_MASK).saturating_sub(self.opened_ms);
                let recovered = u128::from(open_for) >= rules.recovery_timeout.as_millis();
                let half = Self { state: BreakerState::HalfOpen, probes: 0, count: 0, ..self };
                if recovered { half.admit(rules, now_ms) } else { None }
            }
            BreakerState::HalfOpen => {
                let limit = rules.half_open_max_calls.clamp(1, MAX_PROBES);
                let probe = Ticket::Probe { opened_ms: self.opened_ms };
                let room = u32::from(self.probes) < limit;
                room.then_some((Self { probes: self.probes.saturating_add(1), ..self }, probe))
            }
        }
    }

    /// `trips`: the window has had enough. What belongs to a period that is over changes nothing.
    pub(super) fn settle(
        self,
        ticket: Ticket,
        (succeeded, trips): (bool, bool),
        rules: &settings::Breaker,
        now_ms: u64,
    ) -> Self {
        if !self.is_of_now(ticket) {
            return self;
        }
        let count = self.count.saturating_add(1);
        let reaches = |threshold: u32| u32::from(count) >= threshold.min(u32::from(u16::MAX));
        match (ticket, succeeded) {
            (Ticket::Flow { .. }, _) if trips => Self::open(now_ms),
            (Ticket::Flow { .. }, true) => self.closed(),
            (Ticket::Flow { .. }, false) if reaches(rules.failure_threshold) => Self::open(now_ms),
            (Ticket::Flow { .. }, false) => Self { count, ..self },
            (Ticket::Probe { .. }, false) => Self::open(now_ms),
            (Ticket::Probe { .. }, true) if reaches(rules.success_threshold) => self.closed(),
            (Ticket::Probe { .. }, true) => Self { count, ..self.release(ticket) },
        }
    }

    pub(super) fn release(self, ticket: Ticket) -> Self {
        match ticket {
            Ticket::Probe { .. } if self.is_of_now(ticket) => {
                Self { probes: self.probes.saturating_sub(1), ..self }
            }
            _ => self,
        }
    }
}
