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
/// A window that begins so long after the newest is a leap in time; it is believed once others follow
/// it, milliseconds.
const LEAP_MS: i64 = LATE_MS;
/// So much more must be told after a leap, with nothing from before it in between, milliseconds.
const LEAP_PROOF_MS: i64 = 2_000;
/// Windows further apart than this do not prove the same leap, milliseconds.
const SAME_LEAP_MS: i64 = 3_600_000;
/// Windows put aside until a leap is believed, at most.
const MAX_ASIDE: usize = 4_096;
/// Windows held at most.
const MAX_HELD: usize = 65_536;
/// Lives of proxies whose numbers are remembered.
const MAX_LIVES: usize = 16_384;
/// Numbers remembered of one life: more than can be in time.
const MAX_SEQS: usize = 64;

/// What is remembered of one life of a proxy.
#[derive(Debug, Default)]
struct Life {
    seqs: BTreeSet<u64>,
    /// The highest number, and when its window began.
    newest: Option<(u64, i64)>,
}

/// The order of a recording.
#[derive(Debug, Default)]
pub struct Order {
    held: BTreeMap<(i64, i64, String, String, u64), Window>,
    newest: BTreeMap<String, i64>,
    seen: BTreeMap<(String, String), Life>,
    told_ms: Option<i64>,
    refused: u64,
    /// After a leap that is not believed yet, in order of arrival.
    aside: Vec<Window>,
}

impl Order {
    /// Takes a window in, unless it was seen before or comes too late.
    pub fn put(&mut self, window: Window) {
        let too_late = self.told_ms.is_some_and(|told| window.end_ms() < told - LATE_MS);
        if too_late || self.seen_before(&window) {
            self.refused += 1;
        } else if self.leaps(&window) {
            self.put_aside(window);
        } else {
            self.refused += self.aside.len() as u64;
            self.aside.clear();
            self.hold(window);
        }
    }

    fn hold(&mut self, window: Window) {
        let end_ms = window.end_ms();
        let newest = self.newest.entry(window.proxy.clone()).or_insert(end_ms);
        *newest = (*newest).max(end_ms);
        let key = (end_ms, window.start_ms, window.proxy.clone(), window.boot.clone(), window.seq);
        self.held.insert(key, window);
    }

    /// Whether this window alone claims that time has passed in which nobody told anything.
    fn leaps(&self, window: &Window) -> bool {
        let newest = self.newest.values().max();
        newest.is_some_and(|newest| window.start_ms > newest.saturating_add(LEAP_MS))
    }

    /// A recording may have gaps, but then the next lines claim them too; one wrong clock among others
    /// that go on must not make all others look late.
    fn put_aside(&mut self, window: Window) {
        let since = self.aside.iter().map(Window::end_ms).min().unwrap_or(window.end_ms());
        let apart = window.end_ms().saturating_sub(since);
        if apart > SAME_LEAP_MS {
            self.refused += 1;
            return;
        }
        if apart < -SAME_LEAP_MS {
            self.refused += self.aside.len() as u64;
            self.aside.clear();
        }
        self.aside.push(window);
        if apart >= LEAP_PROOF_MS || self.aside.len() > MAX_ASIDE {
            std::mem::take(&mut self.aside).into_iter().for_each(|window| self.hold(window));
        }
    }

    /// Whether it is a repetition, or its proxy's clock was set: of one life, later windows begin later.
    fn seen_before(&mut self, window: &Window) -> bool {
        let life = (window.proxy.clone(), window.boot.clone());
        if self.seen.len() >= MAX_LIVES && !self.seen.contains_key(&life) {
            self.seen.clear();
        }
        let life = self.seen.entry(life).or_default();
        let jumped = |(seq, start_ms): (u64, i64)| {
            window.seq != seq && (window.seq > seq) != (window.start_ms > start_ms)
        };
        let old = life.seqs.len() >= MAX_SEQS && life.seqs.first().is_some_and(|first| window.seq < *first);
        if old || life.newest.is_some_and(jumped) || !life.seqs.insert(window.seq) {
            return true;
        }
        life.newest = life.newest.max(Some((window.seq, window.start_ms)));
        if life.seqs.len() > MAX_SEQS {
            life.seqs.pop_first();
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
        self.refused + self.aside.len() as u64
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

    #[test]
    fn a_clock_a_minute_ahead_does_not_make_the_others_late() {
        let mut order = Order::default();
        let mut taken = 0;
        for second in 0..100 {
            order.put(window("a", second, second as i64 * 1_000));
            // Four windows a second, in a row: still one witness.
            (0..4).for_each(|n| order.put(window("b", second * 4 + n, second as i64 * 1_000 + 60_000)));
            order.put(window("c", second, second as i64 * 1_000));
            while let Some(batch) = order.complete() {
                taken += batch.iter().filter(|w| w.proxy != "b").count();
            }
        }
        assert!(taken >= 190, "{taken}");
    }

    #[test]
    fn what_was_told_is_not_told_again_under_another_number() {
        let mut order = Order::default();
        (0..10).for_each(|second| order.put(window("a", second, second as i64 * 1_000)));
        (10..14).for_each(|seq| order.put(window("a", seq, seq as i64 * 1_000 - 4_000)));
        assert_eq!(order.refused(), 4);
        order.put(window("a", 14, 10_000));
        assert_eq!(order.refused(), 4, "and once its clock is past what it told, it is heard again");
    }

    #[test]
    fn a_gap_in_which_nobody_told_anything_loses_no_window() {
        let mut order = Order::default();
        for second in (0..10).chain(40..50) {
            order.put(window("a", second, second as i64 * 1_000));
        }
        let mut taken = 0;
        while let Some(batch) = order.rest() {
            taken += batch.len();
        }
        assert_eq!((taken, order.refused()), (20, 0));
    }
}
