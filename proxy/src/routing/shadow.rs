//! Where a route's requests are copied to, and which of them.

use std::cell::Cell;
use std::rc::Rc;

use http::Method;
use protocol::trial::Copies;

use super::portion::Portion;
use crate::settings::{Mirror, SplitTarget};
use crate::upstream::group::Group;

/// What a lease's copies are bounded by, as a route's own are where it says nothing: bytes of a body, and
/// copies on their way per worker.
const MAX_BODY_BYTES: usize = 65_536;
const MAX_IN_FLIGHT: u32 = 64;

/// One worker's copying for one route.
#[derive(Debug)]
pub struct Shadow {
    /// As configured.
    pub settings: Mirror,
    /// Who gets the copies.
    pub group: Group,
    /// Whether requests are copied that may change something.
    all_methods: bool,
    turn: Portion,
    under_way: Rc<Cell<u32>>,
}

/// A copy under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay(Rc<Cell<u32>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Shadow {
    /// To `group`.
    #[must_use]
    pub fn new(settings: Mirror, group: Group) -> Self {
        Self { settings, group, all_methods: true, turn: Portion::default(), under_way: Rc::default() }
    }

    /// To `target`, as a lease says.
    #[must_use]
    pub fn leased(target: SplitTarget, copies: Copies, group: Group) -> Self {
        let share = f64::from(copies.percent.min(100)) / 100.0;
        let (max_body_bytes, max_in_flight) = (MAX_BODY_BYTES, MAX_IN_FLIGHT);
        let settings = Mirror { target, share, max_body_bytes, max_in_flight };
        Self { all_methods: copies.all_methods, ..Self::new(settings, group) }
    }

    /// Whether the next request is to be copied.
    #[must_use]
    pub fn is_due(&self, method: &Method) -> bool {
        (self.all_methods || method.is_safe()) && self.turn.takes(self.settings.share)
    }

    /// Begins a copy; `None` when there are as many as there may be.
    #[must_use]
    pub fn begin(&self) -> Option<UnderWay> {
        let under_way = self.under_way.get();
        (under_way < self.settings.max_in_flight).then(|| {
            self.under_way.set(under_way + 1);
            UnderWay(Rc::clone(&self.under_way))
        })
    }
}
