//! The cells asked for lately: a worker asks for few, and a map's hash costs as much as all else that is counted.

use super::Key;
use crate::telemetry::callers::CallerId;

/// Keys remembered. Two that fall on the same place turn each other out, and are looked up in the map.
const PLACES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Recent(Box<[(Key, usize); PLACES]>);

impl Default for Recent {
    /// Nothing: no label and no route lies at address 0.
    fn default() -> Self {
        Self(Box::new([((0, 0, CallerId::default()), 0); PLACES]))
    }
}

impl Recent {
    pub(super) fn get(&self, key: &Key) -> Option<usize> {
        let (known, id) = self.0[place_of(key)];
        (known == *key).then_some(id)
    }

    pub(super) fn put(&mut self, key: Key, id: usize) {
        self.0[place_of(&key)] = (key, id);
    }
}

/// Addresses differ in their middle bits; multiplied, all of them reach the upper ones (Knuth, TAOCP volume 3, 6.4).
fn place_of((label, route, caller): &Key) -> usize {
    let mixed = label ^ route.rotate_left(20) ^ caller.number().rotate_left(40);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) % PLACES
}
