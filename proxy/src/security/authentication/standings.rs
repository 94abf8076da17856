//! What was said of tokens, remembered for a while by their hash: a dump of memory or a bug that prints it
//! gives no token away. Bounded: when the young half is full, the old one is forgotten at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// So many parts are locked on their own: workers hardly ever meet.
const PARTS: usize = 16;

/// A token, by its hash.
pub(super) type TokenHash = [u8; 32];
/// What is said of a token that stands; `None`: it does not stand.
pub(super) type Standing = Option<Arc<Map<String, Value>>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Standings {
    parts: Vec<Mutex<Part>>,
    /// The most of half a part.
    most: usize,
}

#[derive(Debug, Default)]
struct Part {
    young: HashMap<TokenHash, (Standing, u64), ahash::RandomState>,
    old: HashMap<TokenHash, (Standing, u64), ahash::RandomState>,
}

/// The hash of a token.
pub(super) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

impl Standings {
    /// At most about `most` of them.
    pub(super) fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, most: (most / PARTS / 2).max(1) }
    }

    /// What is known of a token at `now`, seconds of Unix time; `None`: nothing.
    pub(super) fn get(&self, token: &TokenHash, now: u64) -> Option<Standing> {
        let part = self.part(token)?.lock().unwrap_or_else(PoisonError::into_inner);
        let (standing, until) = part.young.get(token).or_else(|| part.old.get(token))?;
        (now < *until).then(|| standing.clone())
    }

    /// Remembers it until then.
    pub(super) fn put(&self, token: TokenHash, standing: Standing, until: u64) {
        let Some(part) = self.part(&token) else { return };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if part.young.len() >= self.most {
            part.old = std::mem::take(&mut part.young);
        }
        part.young.insert(token, (standing, until));
    }

    fn part(&self, token: &TokenHash) -> Option<&Mutex<Part>> {
        self.parts.get(usize::from(*token.first()?) % PARTS)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let held = |part: &Mutex<Part>| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.young.len() + part.old.len()
        };
        self.parts.iter().map(held).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_holds_for_its_time_and_room_is_bounded() {
        let standings = Standings::new(1_000);
        let known: Standing = Some(Arc::default());
        standings.put(hash("a"), known.clone(), 20);
        standings.put(hash("b"), None, 20);
        assert_eq!(standings.get(&hash("a"), 19), Some(known));
        assert_eq!(standings.get(&hash("b"), 19), Some(None));
        assert_eq!(standings.get(&hash("a"), 20), None, "its time is over");
        assert_eq!(standings.get(&hash("c"), 19), None);
        (0..100_000).for_each(|n| standings.put(hash(&n.to_string()), None, 20));
        assert!(standings.len() <= 1_000, "{}", standings.len());
        assert_eq!(standings.get(&hash("99999"), 19), Some(None), "the last one is kept");
    }
}
