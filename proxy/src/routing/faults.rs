//! Faults injected on purpose, for game days: which request is touched, and how.
//!
//! Delay and abort are drawn independently: of the delayed requests the same share is aborted as of the
//! others.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;

use super::matching::header_value;
use super::portion::Portion;
use crate::settings::{Abort, Fault};

/// Requests that wait at once, of one route and worker.
const MAX_WAITING: u32 = 1_024;

/// One worker's turn of one route's faults.
#[derive(Debug)]
pub struct Faults {
    settings: Fault,
    delayed: Portion,
    /// Of those that were not delayed, and of those that were.
    aborted: [Portion; 2],
    waiting: Rc<Cell<u32>>,
}

/// A request that waits, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Rc<Cell<u32>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What is done to one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// It waits.
    pub delay: Option<Duration>,
    /// It fails, after it has waited.
    pub abort: Option<Abort>,
}

impl Faults {
    /// By these settings.
    #[must_use]
    pub fn new(settings: Fault) -> Self {
        Self { settings, delayed: Portion::default(), aborted: Default::default(), waiting: Rc::default() }
    }

    /// A place to wait in; `None` when too many wait already: then nobody else does.
    #[must_use]
    pub fn wait(&self) -> Option<Waiting> {
        let waiting = self.waiting.get();
        (waiting < MAX_WAITING).then(|| {
            self.waiting.set(waiting + 1);
            Waiting(Rc::clone(&self.waiting))
        })
    }

    /// What is done to the next request.
    #[must_use]
    pub fn next(&self, headers: &HeaderMap) -> Injected {
        let only = &self.settings.only_with;
        if !only.iter().all(|(name, value)| value.takes(header_value(headers, name).as_deref())) {
            return Injected::default();
        }
        let delay = self.settings.delay.filter(|(_, share)| self.delayed.takes(*share));
        let [undelayed, delayed] = &self.aborted;
        let turn = if delay.is_some() { delayed } else { undelayed };
        let abort = self.settings.abort.filter(|(_, share)| turn.takes(*share));
        Injected { delay: delay.map(|(time, _)| time), abort: abort.map(|(abort, _)| abort) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ValueMatch;
    use http::{HeaderName, HeaderValue};

    const MARK: HeaderName = HeaderName::from_static("x-game-day");

    fn faults(delay: f64, abort: f64, only_with: Vec<(HeaderName, ValueMatch)>) -> Faults {
        let delay = Some((Duration::from_millis(5), delay));
        Faults::new(Fault { delay, abort: Some((Abort::Reset, abort)), only_with })
    }

    #[test]
    fn shares_are_exact_and_independent_of_each_other() {
        let faults = faults(0.5, 0.2, Vec::new());
        let all: Vec<Injected> = (0..1_000).map(|_| faults.next(&HeaderMap::new())).collect();
        let count = |takes: fn(&&Injected) -> bool| all.iter().filter(takes).count();
        assert_eq!(count(|i| i.delay.is_some()), 500);
        assert_eq!(count(|i| i.abort.is_some()), 200);
        assert_eq!(count(|i| i.delay.is_some() && i.abort.is_some()), 100);
    }

    #[test]
    fn only_requests_with_the_header_are_touched_where_one_is_asked_for() {
        let faults = faults(1.0, 0.0, vec![(MARK, ValueMatch::Exact("on".to_owned()))]);
        assert_eq!(faults.next(&HeaderMap::new()), Injected::default());
        let marked: HeaderMap = [(MARK, HeaderValue::from_static("on"))].into_iter().collect();
        assert!(faults.next(&marked).delay.is_some());
    }
}
