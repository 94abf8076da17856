//! Who approves a proposal approves it in the state that it was made from: as far as a log can tell, nothing
//! else that was begun on its service meanwhile is still live.

use std::collections::{BTreeMap, BTreeSet};

use ::brain::audit::Record;

use super::Findings;
use super::story::text;

/// A proposal that was made, and the actions that were begun on its service since and are not over.
#[derive(Debug)]
struct Made {
    service: String,
    overtaken_by: BTreeSet<String>,
}

/// The proposals of one life, by id.
#[derive(Debug, Default)]
pub struct Approvals {
    made: BTreeMap<String, Made>,
}

impl Approvals {
    /// Something is proposed.
    pub fn proposed(&mut self, record: &Record) {
        let service = text(&record.data, "/proposal/action/service");
        self.made.insert(text(&record.data, "/proposal/id"), Made { service, overtaken_by: BTreeSet::new() });
    }

    /// The first intent of a proposal: `action` begins.
    pub fn begun(&mut self, proposal: &str, service: &str, action: &str) {
        let others = self.made.iter_mut().filter(|(id, made)| *id != proposal && made.service == service);
        for (_, made) in others {
            made.overtaken_by.insert(action.to_owned());
        }
    }

    /// An action is over: the state is again as it was without it.
    pub fn over(&mut self, action: &str) {
        self.made.values_mut().for_each(|made| {
            made.overtaken_by.remove(action);
        });
    }

    /// A person approved one.
    pub fn approved(&self, record: &Record, findings: &mut Findings) {
        let id = text(&record.data, "/proposal/id");
        let overtaken = self.made.get(&id).map(|made| &made.overtaken_by);
        findings.check("approved-as-seen", overtaken.is_none_or(BTreeSet::is_empty), || {
            format!("{id} is approved as it was before {overtaken:?} was begun on the same service")
        });
    }
}
