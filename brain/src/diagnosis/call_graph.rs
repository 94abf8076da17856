//! Who calls whom, as the windows say: a cell's caller and its service make an edge.

use std::collections::{BTreeMap, BTreeSet};

use protocol::telemetry::CALLER_INTERNET;

use crate::state::MeshState;

/// An edge that was not seen for so long is gone, milliseconds.
const EDGE_MS: i64 = 60_000;

/// Callers and their callees.
#[derive(Debug, Default)]
pub struct CallGraph {
    callees: BTreeMap<String, BTreeSet<String>>,
}

impl CallGraph {
    /// The edges seen lately.
    #[must_use]
    pub fn of(mesh: &MeshState, now_ms: i64) -> Self {
        let mut callees: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, service) in &mesh.services {
            let recent = service.callers.iter().filter(|(caller, ms)| {
                **ms + EDGE_MS > now_ms && caller.as_str() != CALLER_INTERNET && *caller != name
            });
            for (caller, _) in recent {
                callees.entry(caller.clone()).or_default().insert(name.clone());
            }
        }
        Self { callees }
    }

    /// Those that `service` calls itself.
    pub fn callees(&self, service: &str) -> impl Iterator<Item = &String> {
        self.callees.get(service).into_iter().flatten()
    }

    /// Everything `service` depends on, directly or not; never itself, even in a circle.
    #[must_use]
    pub fn below(&self, service: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut left = vec![service.to_owned()];
        while let Some(at) = left.pop() {
            for callee in self.callees.get(&at).into_iter().flatten() {
                if seen.insert(callee.clone()) {
                    left.push(callee.clone());
                }
            }
        }
        seen.remove(service);
        seen
    }
}

#[cfg(test)]
impl CallGraph {
    /// A graph of these edges.
    pub(crate) fn from_edges(edges: &[(&str, &str)]) -> Self {
        let mut graph = Self::default();
        for (caller, callee) in edges {
            graph.callees.entry((*caller).to_owned()).or_default().insert((*callee).to_owned());
        }
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_found_through_others_and_in_circles() {
        let graph = CallGraph::from_edges(&[("web", "cart"), ("cart", "catalog"), ("catalog", "web")]);
        let below: Vec<String> = graph.below("web").into_iter().collect();
        assert_eq!(below, ["cart", "catalog"]);
        assert!(CallGraph::from_edges(&[("web", "cart")]).below("cart").is_empty());
    }
}
