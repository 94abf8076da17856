//! From windows as they happen to arrive to windows in order: each once, by start, completed.
//!
//! A window is let go when every proxy that is not late has reported past its end, and at most
//! [`WAIT_MS`] after its end in any case. What arrives between [`WAIT_MS`] and [`LATE_MS`] after its end
//! is in time, but may follow windows that began later; what is older is refused. Pure: time is an argument.

use std::collections::{BTreeMap, HashMap};

use protocol::telemetry::Window;

/// How long a late proxy is waited for.
pub const WAIT_MS: i64 = 2_000;
/// A window that ended longer ago is too late.
pub const LATE_MS: i64 = 5_000;
/// A window that ends further ahead comes from a clock that is wrong.
pub const FUTURE_MS: i64 = 10_000;
/// How long the names of windows are remembered to know them again: beyond this they are late anyway.
const REMEMBER_MS: i64 = LATE_MS + FUTURE_MS;
/// The most windows held or remembered at once.
const MAX_HELD: usize = 65_536;
/// A proxy that has said nothing for so long is forgotten.
const FORGET_MS: i64 = 60_000;

/// Why a window was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Seen before, by (proxy, boot, seq).
    Duplicate,
    /// It ended more than [`LATE_MS`] ago.
    Late,
    /// It ends more than [`FUTURE_MS`] from now.
    Future,
    /// A later window of the same life begins earlier, or the reverse: the proxy's clock was set.
    ClockJump,
    /// More windows than can be held.
    Overflow,
    /// The window names another proxy than the stream.
    Foreign,
    /// The frame is no window.
    BadFrame,
    /// More windows a second than a proxy may send.
    Rate,
}

impl Refused {
    /// The metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Future => "future",
            Self::ClockJump => "clock_jump",
            Self::Overflow => "overflow",
            Self::Foreign => "foreign",
            Self::BadFrame => "bad_frame",
            Self::Rate => "rate",
        }
    }
}

/// Order of release: by start, then by name, so that ties fall the same way every time.
type Key = (i64, String, String, u64);

/// What is known of one proxy's stream.
#[derive(Debug)]
struct Stream {
    boot: String,
    /// The highest seq seen, and where its window starts.
    newest: (u64, i64),
    /// The highest seq such that nothing from the first on is missing; unknown until the first release.
    complete_seq: Option<u64>,
    /// End of that window.
    complete_ms: i64,
    /// Windows held beyond it: seq to end.
    ahead: BTreeMap<u64, i64>,
    duration_ms: i64,
    heard_ms: i64,
}

impl Stream {
    fn new(window: &Window, now_ms: i64) -> Self {
        Self {
            boot: window.boot.clone(),
            newest: (window.seq, window.start_ms),
            complete_seq: None,
            complete_ms: i64::MIN,
            ahead: BTreeMap::new(),
            duration_ms: i64::from(window.duration_ms),
            heard_ms: now_ms,
        }
    }

    /// Moves the complete part over what has arrived without a gap.
    fn advance(&mut self) {
        let Some(mut complete) = self.complete_seq else { return };
        while let Some(end_ms) = self.ahead.remove(&complete.saturating_add(1)) {
            complete = complete.saturating_add(1);
            self.complete_ms = end_ms;
        }
        self.complete_seq = Some(complete);
        self.ahead = self.ahead.split_off(&complete);
    }

    /// Everything up to `seq` has been let go, arrived or not.
    fn released(&mut self, window: &Window) {
        if window.boot == self.boot && self.complete_seq.is_none_or(|complete| complete < window.seq) {
            self.complete_seq = Some(window.seq);
            self.complete_ms = window.end_ms();
            self.advance();
        }
    }

    /// Whether its next window is still waited for.
    fn is_awaited(&self, now_ms: i64) -> bool {
        let since_ms = if self.complete_seq.is_some() { self.complete_ms } else { self.newest.1 };
        since_ms.saturating_add(self.duration_ms).saturating_add(WAIT_MS) >= now_ms
    }
}

/// Takes windows in any order and hands them out in one.
#[derive(Debug, Default)]
pub struct Orderer {
    held: BTreeMap<Key, Window>,
    seen: HashMap<(String, String, u64), i64>,
    streams: BTreeMap<String, Stream>,
    first_ms: Option<i64>,
    pruned_ms: i64,
}

impl Orderer {
    /// Takes a window.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn offer(&mut self, window: Window, now_ms: i64) -> Result<(), Refused> {
        self.check(&window, now_ms)?;
        self.first_ms.get_or_insert(now_ms);
        let stream = self.streams.entry(window.proxy.clone()).or_insert_with(|| Stream::new(&window, now_ms));
        if stream.boot != window.boot {
            *stream = Stream::new(&window, now_ms);
        }
        stream.heard_ms = now_ms;
        stream.duration_ms = i64::from(window.duration_ms);
        stream.newest = stream.newest.max((window.seq, window.start_ms));
        if stream.complete_seq.is_none_or(|complete| window.seq > complete) {
            stream.ahead.insert(window.seq, window.end_ms());
        }
        stream.advance();
        self.seen.insert((window.proxy.clone(), window.boot.clone(), window.seq), window.end_ms());
        let key = (window.start_ms, window.proxy.clone(), window.boot.clone(), window.seq);
        self.held.insert(key, window);
        Ok(())
    }

    fn check(&self, window: &Window, now_ms: i64) -> Result<(), Refused> {
        if window.end_ms() < now_ms.saturating_sub(LATE_MS) {
            return Err(Refused::Late);
        }
        if window.end_ms() > now_ms.saturating_add(FUTURE_MS) {
            return Err(Refused::Future);
        }
        if self.seen.contains_key(&(window.proxy.clone(), window.boot.clone(), window.seq)) {
            return Err(Refused::Duplicate);
        }
        if let Some(stream) = self.streams.get(&window.proxy).filter(|s| s.boot == window.boot) {
            let (seq, start_ms) = stream.newest;
            if (window.seq > seq) != (window.start_ms > start_ms) {
                return Err(Refused::ClockJump);
            }
        }
        if self.held.len() >= MAX_HELD || self.seen.len() >= MAX_HELD {
            return Err(Refused::Overflow);
        }
        Ok(())
    }

    /// The windows that are complete by now, in order.
    pub fn take(&mut self, now_ms: i64) -> Vec<Window> {
        self.prune(now_ms);
        let due_ms = now_ms.saturating_sub(WAIT_MS).max(self.complete_everywhere_ms(now_ms));
        // With windows of several lengths the order of starts is kept by letting go all that began
        // before one that is due.
        let last = self.held.iter().rev().find(|(_, w)| w.end_ms() <= due_ms).map(|(key, _)| key.clone());
        let Some(last) = last else { return Vec::new() };
        let mut ready = Vec::new();
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= last) {
            ready.push(entry.remove());
        }
        for window in &ready {
            if let Some(stream) = self.streams.get_mut(&window.proxy) {
                stream.released(window);
            }
        }
        ready
    }

    /// The instant up to which every awaited proxy has reported without a gap. In the first seconds
    /// it is not known who will report at all, so that nothing counts as complete.
    fn complete_everywhere_ms(&self, now_ms: i64) -> i64 {
        if self.first_ms.is_none_or(|first| now_ms.saturating_sub(first) <= WAIT_MS) {
            return i64::MIN;
        }
        let awaited = self.streams.values().filter(|stream| stream.is_awaited(now_ms));
        awaited.map(|stream| stream.complete_ms).min().unwrap_or(i64::MIN)
    }

    fn prune(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.pruned_ms) < 1_000 {
            return;
        }
        self.pruned_ms = now_ms;
        self.seen.retain(|_, end_ms| end_ms.saturating_add(REMEMBER_MS) >= now_ms);
        self.streams.retain(|_, stream| stream.heard_ms.saturating_add(FORGET_MS) >= now_ms);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: i64 = 1_700_000_000_000;

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

    fn names(windows: &[Window]) -> Vec<(i64, String, u64)> {
        windows.iter().map(|w| (w.start_ms, w.proxy.clone(), w.seq)).collect()
    }

    /// Plays arrivals against a turn of the loop every 250 ms.
    fn play(mut arrivals: Vec<(i64, Window)>, until_ms: i64) -> Vec<Window> {
        arrivals.sort_by_key(|(at, _)| *at);
        let mut arrivals = arrivals.into_iter().peekable();
        let mut orderer = Orderer::default();
        let mut out = Vec::new();
        let mut now_ms = T0;
        while now_ms <= until_ms {
            while let Some((at, window)) = arrivals.next_if(|(at, _)| *at <= now_ms) {
                let _ = orderer.offer(window, at);
            }
            out.extend(orderer.take(now_ms));
            now_ms += 250;
        }
        out
    }

    proptest! {
        #[test]
        fn any_delay_up_to_the_wait_and_any_repetition_yields_the_same_order(
            delays in proptest::collection::vec((0i64..=1_750, proptest::option::of(0i64..4_000)), 3 * 12)
        ) {
            let mut arrivals = Vec::new();
            let mut expected = Vec::new();
            for (n, (delay, again)) in delays.into_iter().enumerate() {
                let (proxy, seq) = (["p1", "p2", "p3"][n % 3], n as u64 / 3);
                let sent = window(proxy, seq, T0 + seq as i64 * 1_000);
                let at = sent.end_ms() + delay;
                if let Some(later) = again {
                    arrivals.push((at + later, sent.clone()));
                }
                expected.push(sent.clone());
                arrivals.push((at, sent));
            }
            expected.sort_by(|a, b| (a.start_ms, &a.proxy).cmp(&(b.start_ms, &b.proxy)));
            let out = play(arrivals, T0 + 30_000);
            prop_assert_eq!(names(&out), names(&expected));
        }

        #[test]
        fn nothing_older_than_the_bound_is_let_through(age_ms in 0i64..20_000) {
            let mut orderer = Orderer::default();
            let old = window("p1", 1, T0 - age_ms - 1_000);
            prop_assert_eq!(orderer.offer(old, T0).is_ok(), age_ms <= LATE_MS);
        }
    }

    #[test]
    fn a_complete_second_is_not_waited_for() {
        let mut orderer = Orderer::default();
        let mut out = Vec::new();
        for seq in 0..8 {
            let start_ms = T0 + seq * 1_000;
            for proxy in ["p1", "p2"] {
                orderer.offer(window(proxy, seq as u64, start_ms), start_ms + 1_050).unwrap();
            }
            out = orderer.take(start_ms + 1_100);
        }
        assert_eq!(names(&out).len(), 2, "the newest second of both is out 50 ms after it arrived");
    }

    #[test]
    fn a_proxy_that_died_delays_the_others_once_and_by_two_seconds_at_most() {
        let mut arrivals = Vec::new();
        for seq in 0..20u64 {
            let start_ms = T0 + seq as i64 * 1_000;
            arrivals.push((start_ms + 1_010, window("p1", seq, start_ms)));
            if seq < 10 {
                arrivals.push((start_ms + 1_010, window("p2", seq, start_ms)));
            }
        }
        assert_eq!(play(arrivals.clone(), T0 + 20_250).len(), 30);
        // While p2's next window may still come, p1's wait; once it is given up, all of p1's are out.
        assert_eq!(play(arrivals.clone(), T0 + 12_750).len(), 20);
        assert_eq!(play(arrivals, T0 + 13_250).len(), 23);
    }

    #[test]
    fn clocks_that_jump_are_refused_and_counted_apart() {
        let mut orderer = Orderer::default();
        orderer.offer(window("p1", 5, T0), T0 + 1_000).unwrap();
        assert_eq!(orderer.offer(window("p1", 6, T0 + 60_000), T0 + 1_000), Err(Refused::Future));
        assert_eq!(orderer.offer(window("p1", 6, T0 - 3_000), T0 + 1_000), Err(Refused::ClockJump));
        assert_eq!(orderer.offer(window("p1", 4, T0 + 500), T0 + 1_000), Err(Refused::ClockJump));
        assert_eq!(orderer.offer(window("p1", 5, T0), T0 + 1_000), Err(Refused::Duplicate));
        assert_eq!(orderer.offer(window("p1", 6, T0 - 60_000), T0 + 1_000), Err(Refused::Late));
        let mut reborn = window("p1", 0, T0 + 200);
        reborn.boot = "c".into();
        assert_eq!(orderer.offer(reborn, T0 + 1_300), Ok(()));
    }
}
