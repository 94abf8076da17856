//! Who calls, as cells tell them apart: a bounded list of names, one worker's own.
//!
//! Names come from certificates that an authority has vouched for; how many there may be is bounded all the
//! same, because each is a series of its own for every endpoint.

use std::sync::Arc;

use ahash::AHashMap;
use protocol::id::check_name;

use super::cells::OTHER_ENDPOINT;

/// The most callers that are told apart in the life of a worker; the rest are `other`.
pub const MAX_CALLERS: usize = 256;

/// A caller, for the life of the worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(u16);

impl CallerId {
    pub(super) fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Callers {
    /// By number; 0 is whoever has no name, 1 whoever found no room.
    names: Vec<Option<Arc<str>>>,
    ids: AHashMap<Arc<str>, CallerId>,
}

impl Default for Callers {
    fn default() -> Self {
        Self { names: vec![None, Some(Arc::from(OTHER_ENDPOINT))], ids: AHashMap::new() }
    }
}

impl Callers {
    const OTHER: CallerId = CallerId(1);

    /// The caller called `name`.
    pub fn known_as(&mut self, name: &str) -> CallerId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let number = u16::try_from(self.names.len()).ok().filter(|_| self.names.len() < MAX_CALLERS);
        let Some(id) = number.filter(|_| check_name(name).is_ok()).map(CallerId) else { return Self::OTHER };
        let name: Arc<str> = Arc::from(name);
        self.names.push(Some(Arc::clone(&name)));
        self.ids.insert(name, id);
        id
    }

    /// Its name; `None`: whoever this proxy stands beside.
    #[must_use]
    pub fn name(&self, CallerId(number): CallerId) -> Option<Arc<str>> {
        self.names.get(usize::from(number)).cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_keeps_its_number_and_too_many_are_one() {
        let mut callers = Callers::default();
        let cart = callers.known_as("cart");
        assert_eq!((callers.known_as("cart"), callers.name(cart).as_deref()), (cart, Some("cart")));
        let all: Vec<_> = (0..1_000).map(|n| callers.known_as(&n.to_string())).collect();
        assert_eq!(callers.names.len(), MAX_CALLERS);
        assert_eq!(all.last().and_then(|id| callers.name(*id)).as_deref(), Some(OTHER_ENDPOINT));
        assert_eq!(callers.known_as("cart"), cart);
        assert_eq!(callers.name(CallerId::default()), None);
        assert_eq!(callers.known_as(&"a".repeat(300)), Callers::OTHER);
    }
}
