//! Windows of many proxies, put in order and completed by virtual time: a second is judged when all
//! proxies have told it, or 2 s after it for those that are late.

use std::collections::{BTreeMap, BTreeSet};

use protocol::telemetry::Window;

/// The longest wait for a proxy that is late, milliseconds of virtual time.
const WAIT_MS: i64 = 2_000;
/// A window later than this is no longer in time, milliseconds.
const LATE_MS: i64 = 5_000;
/// A proxy silent for so long is not waited for, milliseconds.
const LOST_MS: i64 = 10_000;
/// A leap forward in time that needs more than one witness, milliseconds.
const LEAP_MS: i64 = 3_600_000;
/// Windows that are lost before a leap is believed.
const LEAP_WITNESSES: u32 = 2;
/// Windows held at most.
const MAX_HELD: usize = 65_536;
/// Lives of proxies whose numbers are remembered.
const MAX_LIVES: usize = 16_384;
/// Numbers remembered of one life: more than can be in time.
const MAX_SEQS: usize = 64;

/// The order of a recording.
#[derive(Debug, Default)]
pub struct Order {
    held: BTreeMap<(i64, i64, String, String, u64), Window>,
    newest: BTreeMap<String, i64>,
    seen: BTreeMap<(String, String), BTreeSet<u64>>,
    told_ms: Option<i64>,
    refused: u64,
    leap: Option<(i64, u32)>,
}

impl Order {
    /// Takes a window in, unless it was seen before or comes too late.
    pub fn put(&mut self, window: Window) {
        let end_ms = window.end_ms();
        let too_late = self.told_ms.is_some_and(|told| end_ms < told - LATE_MS);
        if too_late || self.leaps(end_ms) || self.seen_before(&window) {
            self.refused += 1;
            return;
        }
        let newest = self.newest.entry(window.proxy.clone()).or_insert(end_ms);
        *newest = (*newest).max(end_ms);
        let key = (end_ms, window.start_ms, window.proxy.clone(), window.boot.clone(), window.seq);
        self.held.insert(key, window);
    }

    /// Whether this window alone claims that hours have passed. A recording may have such gaps, but
    /// then the next lines claim it too; one wrong clock must not make all others look late.
    fn leaps(&mut self, end_ms: i64) -> bool {
        let ahead = self.newest.values().max().is_some_and(|newest| end_ms > newest + LEAP_MS);
        if !ahead {
            self.leap = None;
            return false;
        }
        let agreeing = match self.leap {
            Some((to_ms, count)) if (end_ms - to_ms).abs() <= LEAP_MS => count + 1,
            _ => 1,
        };
        self.leap = Some((end_ms, agreeing));
        agreeing <= LEAP_WITNESSES
    }

    fn seen_before(&mut self, window: &Window) -> bool {
        let life = (window.proxy.clone(), window.boot.clone());
        if self.seen.len() >= MAX_LIVES && !self.seen.contains_key(&life) {
            self.seen.clear();
        }
        let seqs = self.seen.entry(life).or_default();
        let old = seqs.len() >= MAX_SEQS && seqs.first().is_some_and(|first| window.seq < *first);
        if old || !seqs.insert(window.seq) {
            return true;
        }
        if seqs.len() > MAX_SEQS {
            seqs.pop_first();
        }
        false
    }

    /// The next second that all proxies have told, or that has waited long enough.
    pub fn complete(&mut self) -> Option<Vec<Window>> {
        let first = self.held.first_key_value()?.0.0;
        let newest = self.newest.values().copied().max()?;
        let end_of_second = second_end(first);
        let waited = newest >= end_of_second + WAIT_MS || self.held.len() > MAX_HELD;
        // All must be past the second, not just at its end: a proxy may have two windows in it.
        let all_told = newest > end_of_second
            && self.newest.values().all(|ms| *ms >= end_of_second || newest - *ms > LOST_MS);
        if waited || all_told { self.rest() } else { None }
    }

    /// The next second, complete or not.
    pub fn rest(&mut self) -> Option<Vec<Window>> {
        let end_ms = second_end(self.held.first_key_value()?.0.0);
        let later = self.held.split_off(&(end_ms + 1, i64::MIN, String::new(), String::new(), 0));
        let batch: Vec<Window> = std::mem::replace(&mut self.held, later).into_values().collect();
        self.told_ms = Some(self.told_ms.map_or(end_ms, |told| told.max(end_ms)));
        let newest = self.newest.values().copied().max().unwrap_or(end_ms);
        self.newest.retain(|_, ms| newest - *ms <= LOST_MS);
        Some(batch)
    }

    /// Windows that were not taken.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn second_end(end_ms: i64) -> i64 {
    (end_ms - 1).div_euclid(1_000) * 1_000 + 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(proxy: &str, seq: u64, start_ms: i64) -> Window {
        Window {
            proxy: proxy.into(),
            boot: "b".into(),
            seq,
            start_ms,
            duration_ms: 1_000,
            config_hash: String::new(),
            cells: Vec::new(),
            clients: Vec::new(),
            clients_other: None,
        }
    }

    #[test]
    fn a_late_proxy_is_waited_for_two_seconds_and_no_longer() {
        let mut order = Order::default();
        order.put(window("a", 1, 0));
        order.put(window("b", 1, 0));
        order.put(window("a", 2, 1_000));
        assert_eq!(order.complete().map(|b| b.len()), Some(2));
        order.put(window("a", 3, 2_000));
        assert_eq!(order.complete(), None);
        order.put(window("a", 4, 3_000));
        assert_eq!(order.complete().map(|b| b.len()), Some(1));
        order.put(window("b", 2, 1_000));
        assert_eq!(order.complete().map(|b| b.len()), Some(1), "late, but in time");
    }

    #[test]
    fn one_wrong_clock_does_not_move_time() {
        let mut order = Order::default();
        order.put(window("a", 1, 0));
        order.put(window("b", 1, 1_000_000_000));
        assert_eq!(order.refused(), 1);
        order.put(window("a", 2, 1_000));
        assert_eq!(order.complete().map(|b| b.len()), Some(1));
    }
}
