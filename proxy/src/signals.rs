//! Tells one worker's connections that the proxy goes down, without a lock: a connection is polled
//! for every request, and asking a shared token each time would lock one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

use ahash::AHashMap;

/// Where the proxy stands in going down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Serving,
    Draining,
    Stopping,
    Aborted,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    phase: Cell<Phase>,
    /// Counts up whenever connections without a request are to be closed.
    round: Cell<u32>,
    next: Cell<u64>,
    listening: Rc<RefCell<AHashMap<u64, Waker>>>,
}

/// Ends listening when dropped.
#[derive(Debug)]
pub(crate) struct Registration(u64, Rc<RefCell<AHashMap<u64, Waker>>>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.1.borrow_mut().remove(&self.0);
    }
}

impl Signals {
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Ends when the proxy gives everything up.
    pub(crate) async fn aborted(&self) {
        let mut registration = None;
        std::future::poll_fn(|cx| {
            if self.phase() == Phase::Aborted {
                return Poll::Ready(());
            }
            registration = Some(self.register(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn register(&self, waker: Waker) -> Registration {
        let id = self.next.replace(self.next.get() + 1);
        self.listening.borrow_mut().insert(id, waker);
        Registration(id, Rc::clone(&self.listening))
    }

    pub(crate) fn round(&self) -> u32 {
        self.round.get()
    }

    /// Connections without a request are to be closed.
    pub(crate) fn close_idle(&self) {
        self.round.set(self.round.get().wrapping_add(1));
        self.listening.borrow().values().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.set(self.phase.get().max(phase));
        self.listening.borrow().values().for_each(Waker::wake_by_ref);
    }
}
