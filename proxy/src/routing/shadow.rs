//! Where a route's requests are copied to, and which of them.

use std::cell::Cell;
use std::rc::Rc;

use super::portion::Portion;
use crate::settings::Mirror;
use crate::upstream::group::Group;

/// One worker's copying for one route.
#[derive(Debug)]
pub struct Shadow {
    /// As configured.
    pub settings: Mirror,
    /// Who gets the copies.
    pub group: Group,
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
        Self { settings, group, turn: Portion::default(), under_way: Rc::default() }
    }

    /// Whether the next request is to be copied.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.turn.takes(self.settings.share)
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
