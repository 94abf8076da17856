//! What a window cannot truly say. Such a window is set aside whole and counted by reason: half of a lie is
//! no truth. What it says is believed of nobody, and the services it names are judged with more doubt.

use protocol::snapshot::ProxyStatus;
use protocol::telemetry::{Client, Window};

/// A window may begin so long after now, clocks being what they are, milliseconds.
const AHEAD_MS: i64 = 10_000;
/// 1970 to 9999: nothing else is a time, and arithmetic on it stays far from overflow.
const PLAUSIBLE_MS: std::ops::Range<i64> = 0..253_402_300_800_000;
/// Windows have at most 10 s (CONTRACTS §4); one that was held up while it was closed may have a little more.
const LONGEST_MS: u32 = 20_000;
/// More than a proxy can serve in a window.
const IMPOSSIBLE: u64 = 1 << 40;
/// Two lives of one proxy may overlap while one hands over to the other; a third within this time is none.
const LIVES: usize = 2;
const LIVES_MS: i64 = 10_000;
/// Where a proxy counts what no longer fits into a window.
const OTHER: &str = "other";

/// Why a window was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its beginning is no time, or lies in the future.
    Time,
    /// It is longer than windows are.
    Length,
    /// Its counts contradict each other.
    Counts,
    /// What it says of clients contradicts itself.
    Clients,
    /// It tells of a service that its proxy, by its own word, does not serve.
    Foreign,
    /// Its proxy claims to have been restarted again and again: one second must not count many times.
    Lives,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Time, Self::Length, Self::Counts, Self::Clients, Self::Foreign, Self::Lives];

    /// The metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Length => "length",
            Self::Counts => "counts",
            Self::Clients => "clients",
            Self::Foreign => "foreign_service",
            Self::Lives => "boot_changes",
        }
    }

    /// Whether the window's time can be relied on, and with it that its services are in doubt now.
    pub(super) fn is_timely(self) -> bool {
        !matches!(self, Self::Time | Self::Length)
    }
}

/// Windows set aside, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quarantine([u64; Reason::ALL.len()]);

impl Quarantine {
    pub(super) fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// How many for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What is wrong with the window by itself.
pub(super) fn contradiction(window: &Window, now_ms: i64) -> Option<Reason> {
    if !PLAUSIBLE_MS.contains(&window.start_ms) || window.start_ms > now_ms.saturating_add(AHEAD_MS) {
        return Some(Reason::Time);
    }
    if window.duration_ms > LONGEST_MS {
        return Some(Reason::Length);
    }
    if window.cells.iter().any(|cell| cell.contradiction().is_some() || cell.in_flight_max > IMPOSSIBLE) {
        return Some(Reason::Counts);
    }
    let others = window.clients_other.map_or(0, |other| other.requests);
    let told_twice = |n: usize, client: &Client| window.clients.iter().take(n).any(|c| c.ip == client.ip);
    let bad = window.clients.iter().enumerate().any(|(n, c)| cannot_be(c) || told_twice(n, c));
    (bad || others > IMPOSSIBLE).then_some(Reason::Clients)
}

fn cannot_be(client: &Client) -> bool {
    let most = client.status_4xx.max(client.status_5xx).max(client.denied);
    client.requests > IMPOSSIBLE || most > client.requests
}

/// Whether the window tells of a service that its proxy does not serve. That is known only while the
/// proxy's own status speaks of the same life and the same configuration.
pub(super) fn is_foreign(window: &Window, status: &ProxyStatus) -> bool {
    let comparable = status.boot == window.boot
        && status.config_hash == window.config_hash
        && !window.config_hash.is_empty();
    let serves = |name: &str| name == OTHER || status.services.iter().any(|s| s.service.as_str() == name);
    comparable && window.cells.iter().any(|cell| !serves(&cell.service))
}

/// The lives of one proxy that windows told of lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives(Vec<(String, i64)>);

impl Lives {
    /// Notes the window's life; whether it is one too many.
    pub(super) fn are_too_many(&mut self, window: &Window) -> bool {
        let end_ms = window.end_ms();
        self.0.retain(|(_, ms)| ms.saturating_add(LIVES_MS) > end_ms);
        if let Some((_, ms)) = self.0.iter_mut().find(|(boot, _)| *boot == window.boot) {
            *ms = end_ms.max(*ms);
            return false;
        }
        let room = self.0.len() < LIVES;
        if room {
            self.0.push((window.boot.clone(), end_ms));
        }
        !room
    }
}
