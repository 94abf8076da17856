//! Consistent hashing: one lookup over either table, made once for all workers that want the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::maglev::Maglev;
use super::ring::Ring;
use crate::settings::HashTable;

/// A table to look keys up in.
#[derive(Debug)]
pub enum Lookup {
    /// Points on a circle: O(log n).
    Ring(Ring),
    /// Slots: O(1).
    Maglev(Maglev),
}

impl Lookup {
    /// Over these names with these weights.
    #[must_use]
    pub fn new(kind: HashTable, members: &[(&str, u32)]) -> Self {
        match kind {
            HashTable::Ring => Self::Ring(Ring::new(members)),
            HashTable::Maglev => Self::Maglev(Maglev::new(members)),
        }
    }

    /// Where `key` goes, of those whom `fits` takes.
    pub fn find(&self, key: u64, fits: impl FnMut(usize) -> bool) -> Option<usize> {
        match self {
            Self::Ring(ring) => ring.find(key, fits),
            Self::Maglev(table) => table.find(key, fits),
        }
    }
}

/// What tables are made of.
type Recipe = (HashTable, Vec<(String, u32)>);

/// Tables in use, by what they are made of. Locked only when a view is built.
#[derive(Debug, Default, Clone)]
pub struct Lookups(Arc<Mutex<HashMap<Recipe, Weak<Lookup>>>>);

impl Lookups {
    /// The table over these names with these weights: another's, if one has the same.
    #[must_use]
    pub fn get(&self, kind: HashTable, members: &[(&str, u32)]) -> Arc<Lookup> {
        let recipe = (kind, members.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect());
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&recipe).and_then(Weak::upgrade) {
            return table;
        }
        tables.retain(|_, table| table.strong_count() > 0);
        let table = Arc::new(Lookup::new(kind, members));
        tables.insert(recipe, Arc::downgrade(&table));
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::upstream::balancer::key_of;
    use proptest::prelude::*;

    const KEYS: usize = 20_000;

    fn owners(kind: HashTable, members: &[(&str, u32)], out: Option<usize>) -> Vec<String> {
        let table = Lookup::new(kind, members);
        let owner = |n: usize| table.find(key_of(format!("user-{n}").as_bytes()), |at| Some(at) != out);
        (0..KEYS).map(|n| members[owner(n).unwrap()].0.to_owned()).collect()
    }

    fn moved(before: &[String], after: &[String]) -> f64 {
        before.iter().zip(after).filter(|(a, b)| a != b).count() as f64 / KEYS as f64
    }

    fn kinds() -> impl Strategy<Value = HashTable> {
        prop_oneof![Just(HashTable::Ring), Just(HashTable::Maglev)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn when_an_endpoint_leaves_little_more_than_its_own_keys_move(
            kind in kinds(), count in 2usize..40, leaves: prop::sample::Index, salt in 0u32..1_000
        ) {
            let names: Vec<String> = (0..count).map(|n| format!("10.0.{salt}.{n}:8080")).collect();
            let all: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 100)).collect();
            let leaves = leaves.index(count);
            let before = owners(kind, &all, None);
            let mut rest = all.clone();
            let gone = rest.remove(leaves).0;
            // Gone from the configuration: the table is made anew.
            let bound = 1.0 / count as f64 + 0.05;
            prop_assert!(moved(&before, &owners(kind, &rest, None)) <= bound);
            // Out for the moment: exactly its own keys.
            let walked = owners(kind, &all, Some(leaves));
            prop_assert!(before.iter().zip(&walked).all(|(a, b)| a == b || a == gone));
            prop_assert!(walked.iter().all(|owner| owner != gone));
        }

        #[test]
        fn shares_follow_the_weights(kind in kinds(), weights in prop::collection::vec(1u32..=8, 2..8)) {
            let names: Vec<String> = (0..weights.len()).map(|n| format!("10.0.0.{n}:80")).collect();
            let members: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
            let owners = owners(kind, &members, None);
            let total: u32 = weights.iter().sum();
            // A ring of some hundred points is uneven by nature; the table is not.
            let tolerance = if kind == HashTable::Maglev { 0.015 } else { 0.10 };
            for (name, weight) in &members {
                let share = owners.iter().filter(|owner| owner == name).count() as f64 / KEYS as f64;
                let wanted = f64::from(*weight) / f64::from(total);
                prop_assert!((share - wanted).abs() <= tolerance, "{share} for {wanted}");
            }
        }
    }

    #[test]
    fn equal_tables_are_made_once_and_forgotten_with_their_last_user() {
        let lookups = Lookups::default();
        let first = lookups.get(HashTable::Ring, &[("a", 1), ("b", 1)]);
        assert!(Arc::ptr_eq(&first, &lookups.get(HashTable::Ring, &[("a", 1), ("b", 1)])));
        let other = lookups.get(HashTable::Maglev, &[("a", 1), ("b", 1)]);
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, other));
        let _third = lookups.get(HashTable::Ring, &[("c", 1)]);
        assert_eq!(lookups.0.lock().unwrap().len(), 1);
    }
}
