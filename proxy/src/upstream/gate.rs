//! How much a service is asked at once, over all workers: places, a short queue for them, and who goes first.
//!
//! Present only where `limits` are set. A place is two atomic operations; only who must wait for one meets a
//! lock. Places are counted by request, not by attempt: a retry has its request's place.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::gradient::{Gradient, MIN_SAMPLES, Seen};
use crate::settings::{AdaptiveLimit, Limits, Priority};

/// Answers of one window that are looked at; of more, the last.
const SAMPLES: usize = 256;
/// Priorities, the first goes first.
const CLASSES: usize = 4;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The limit that found itself is reached.
    Overload,
    /// The configured limit is reached.
    Requests,
    /// It waited, and no place came.
    Pending,
    /// The endpoint has as many connections as it may.
    Connections,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    in_flight: AtomicU32,
    /// The adaptive limit.
    limit: AtomicU32,
    peak: AtomicU32,
    waiting: [AtomicU32; CLASSES],
    freed: [Notify; CLASSES],
    samples: [AtomicU32; SAMPLES],
    sampled: AtomicUsize,
    window_ends_ms: AtomicU64,
    /// Locked once a window, by whoever ends it; never waited for.
    gradient: Mutex<Option<Gradient>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            in_flight: AtomicU32::default(),
            limit: AtomicU32::new(u32::MAX),
            peak: AtomicU32::default(),
            waiting: Default::default(),
            freed: Default::default(),
            samples: [const { AtomicU32::new(0) }; SAMPLES],
            sampled: AtomicUsize::default(),
            window_ends_ms: AtomicU64::default(),
            gradient: Mutex::default(),
        }
    }
}

/// A request's place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Gate {
    /// Waits for a place, if there is room to wait.
    ///
    /// # Errors
    /// There is none.
    pub async fn enter(self: &Arc<Self>, limits: &Limits, priority: Priority) -> Result<Place, Full> {
        let class = class_of(priority);
        // Nobody overtakes those who wait with the same right or a better one.
        let queue = self.waiting.iter().take(class + 1).any(|n| n.load(Ordering::SeqCst) > 0);
        let full = match self.try_enter(limits, priority).filter(|_| !queue) {
            Some(place) => return Ok(place),
            None if limits.max_pending == 0 => return Err(self.full(limits)),
            None => self.full(limits),
        };
        let Some(waiting) = Waiting::begin(self, class, limits.max_pending) else { return Err(full) };
        waiting.wait(limits, priority).await.ok_or(Full::Pending)
    }

    /// A place, if there is one now.
    pub fn try_enter(self: &Arc<Self>, limits: &Limits, priority: Priority) -> Option<Place> {
        let most = self.most(limits, priority);
        let enter = |now: u32| (now < most).then_some(now + 1);
        let before = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter).ok()?;
        if limits.adaptive.is_some() && before >= self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(before + 1, Ordering::Relaxed);
        }
        Some(Place(Arc::clone(self)))
    }

    /// Requests that this priority may find there. The adaptive limit is an estimate, which what is critical
    /// may exceed; the configured one is not, and what is least is refused before it is reached.
    fn most(&self, limits: &Limits, priority: Priority) -> u32 {
        let share = |limit: u32, percent: u64| {
            u32::try_from(u64::from(limit) * percent / 100).unwrap_or(u32::MAX).max(1)
        };
        let adaptive = limits.adaptive.map_or(u32::MAX, |_| {
            let percent = match priority {
                Priority::Critical => 125,
                Priority::High => 110,
                Priority::Normal => 100,
                Priority::Low => 75,
            };
            share(self.limit(), percent)
        });
        let configured = limits.max_requests.unwrap_or(u32::MAX);
        adaptive.min(if priority == Priority::Low { share(configured, 75) } else { configured })
    }

    fn full(&self, limits: &Limits) -> Full {
        let configured = limits.max_requests.unwrap_or(u32::MAX);
        if limits.adaptive.is_some() && self.limit() < configured { Full::Overload } else { Full::Requests }
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let first = self.waiting.iter().zip(&self.freed).find(|(n, _)| n.load(Ordering::SeqCst) > 0);
        first.into_iter().for_each(|(_, freed)| freed.notify_one());
    }

    /// An endpoint has answered after `took`: what the adaptive limit goes by.
    pub fn answered(&self, rules: &AdaptiveLimit, took: Duration, now_ms: u64) {
        let at = self.sampled.fetch_add(1, Ordering::Relaxed);
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if let Some(sample) = self.samples.get(at % SAMPLES) {
            sample.store(us, Ordering::Relaxed);
        }
        if now_ms >= self.window_ends_ms.load(Ordering::Relaxed) && at + 1 >= MIN_SAMPLES {
            self.end_window(rules, now_ms);
        }
    }

    fn end_window(&self, rules: &AdaptiveLimit, now_ms: u64) {
        let mut gradient = match self.gradient.try_lock() {
            Ok(gradient) => gradient,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // Another worker may have ended it meanwhile.
        if now_ms < self.window_ends_ms.load(Ordering::Relaxed) {
            return;
        }
        let window_ms = u64::try_from(rules.window.as_millis()).unwrap_or(u64::MAX);
        self.window_ends_ms.store(now_ms.saturating_add(window_ms), Ordering::Relaxed);
        let count = self.sampled.swap(0, Ordering::Relaxed).min(SAMPLES);
        let peak = self.peak.swap(self.in_flight(), Ordering::Relaxed);
        let mut samples: Vec<u32> =
            self.samples.iter().take(count).map(|sample| sample.load(Ordering::Relaxed)).collect();
        if samples.is_empty() {
            return;
        }
        let (_, median, _) = samples.select_nth_unstable(count / 2);
        let seen = Seen { median_us: f64::from(*median), peak };
        let gradient = gradient.get_or_insert_with(|| Gradient::new(rules));
        gradient.window(seen, rules, now_ms);
        self.limit.store(gradient.limit(), Ordering::Relaxed);
    }

    /// Begins with a limit where one is wanted, and forgets it where not.
    pub fn follow(&self, limits: Option<&Limits>) {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = limits.and_then(|limits| limits.adaptive.as_ref());
        match rules {
            Some(rules) => {
                let limit = gradient.get_or_insert_with(|| Gradient::new(rules)).limit();
                self.limit.store(limit.clamp(rules.min, rules.max), Ordering::Relaxed);
            }
            None => {
                *gradient = None;
                self.limit.store(u32::MAX, Ordering::Relaxed);
            }
        }
    }

    /// Requests that have a place.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that wait for one.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.waiting.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    /// The adaptive limit; `u32::MAX` where there is none.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }
}

fn class_of(priority: Priority) -> usize {
    match priority {
        Priority::Critical => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

/// One that waits; counted until this is dropped.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    count: &'a AtomicU32,
    freed: &'a Notify,
}

impl<'a> Waiting<'a> {
    fn begin(gate: &'a Arc<Gate>, class: usize, most: u32) -> Option<Self> {
        let (count, freed) = (gate.waiting.get(class)?, gate.freed.get(class)?);
        // Two at the same moment may both find the last room: one too many is no harm.
        if gate.pending() >= most {
            return None;
        }
        count.fetch_add(1, Ordering::SeqCst);
        Some(Self { gate, count, freed })
    }

    async fn wait(self, limits: &Limits, priority: Priority) -> Option<Place> {
        let until = Instant::now() + limits.max_wait;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(place) = self.gate.try_enter(limits, priority) {
                return Some(place);
            }
            timeout_at(until, freed).await.ok()?;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn limits(max_requests: u32, max_pending: u32) -> Limits {
        Limits {
            max_requests: Some(max_requests),
            max_endpoint_requests: None,
            max_endpoint_connections: None,
            max_pending,
            max_wait: Duration::from_millis(100),
            adaptive: None,
            priority_header: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_as_long_as_there_is_room_to_wait() {
        let (gate, limits) = (Arc::new(Gate::default()), limits(1, 1));
        let first = gate.enter(&limits, Priority::Normal).await.unwrap();
        let wait = || {
            let (gate, limits) = (Arc::clone(&gate), limits.clone());
            tokio::spawn(async move { gate.enter(&limits, Priority::Normal).await })
        };
        let second = wait();
        tokio::task::yield_now().await;
        assert_eq!(gate.pending(), 1);
        assert_eq!(gate.enter(&limits, Priority::Normal).await.unwrap_err(), Full::Requests);
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!((gate.in_flight(), gate.pending()), (1, 0));
        let third = wait();
        let began = Instant::now();
        assert_eq!(third.await.unwrap().unwrap_err(), Full::Pending);
        assert_eq!(began.elapsed(), limits.max_wait);
        drop(second);
        assert_eq!((gate.in_flight(), gate.pending()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_critical_waits_behind_nobody_and_what_is_low_before_the_limit_is_reached() {
        let (gate, limits) = (Arc::new(Gate::default()), limits(4, 8));
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(gate.enter(&limits, Priority::Normal).await.unwrap());
        }
        assert!(gate.try_enter(&limits, Priority::Low).is_none());
        places.push(gate.enter(&limits, Priority::Normal).await.unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let waits = [Priority::Low, Priority::Normal, Priority::Critical].map(|priority| {
            let (gate, limits, order) = (Arc::clone(&gate), limits.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let place = gate.enter(&limits, priority).await;
                order.lock().unwrap().push((priority, place.is_ok()));
                place
            })
        });
        tokio::task::yield_now().await;
        for _ in 0..2 {
            places.pop();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(*order.lock().unwrap(), [(Priority::Critical, true), (Priority::Normal, true)]);
        for wait in waits {
            let _place = wait.await.unwrap();
        }
    }

    #[test]
    fn the_adaptive_limit_follows_the_answers_and_what_is_critical_may_exceed_it() {
        let adaptive = AdaptiveLimit {
            min: 4,
            max: 100,
            tolerance: 0.25,
            window: Duration::from_millis(100),
            calm_every: Duration::from_secs(30),
        };
        let limits = Limits { max_requests: None, adaptive: Some(adaptive), ..limits(1, 0) };
        let gate = Arc::new(Gate::default());
        gate.follow(Some(&limits));
        let mut places = Vec::new();
        for window in 0..40_u64 {
            // Ten at once take 10 ms; what is more waits in the endpoint.
            while let Some(place) = gate.try_enter(&limits, Priority::Normal) {
                places.push(place);
            }
            let took = Duration::from_millis(places.len().max(10) as u64);
            (0..MIN_SAMPLES).for_each(|_| gate.answered(&adaptive, took, (window + 1) * 100));
            places.clear();
        }
        assert!((10..=25).contains(&gate.limit()), "{}", gate.limit());
        while let Some(place) = gate.try_enter(&limits, Priority::Normal) {
            places.push(place);
        }
        assert!(gate.try_enter(&limits, Priority::Critical).is_some());
        assert!(gate.try_enter(&limits, Priority::Low).is_none());
        gate.follow(None);
        assert_eq!(gate.limit(), u32::MAX);
    }
}
