//! Who approves a proposal approves it in the state that it was made from: as far as a log can tell, nothing
//! else was begun on its service meanwhile.

use std::collections::BTreeMap;

use ::brain::audit::Record;

use super::Findings;
use super::story::text;

/// A proposal that was made, and the first that was begun on its service since.
#[derive(Debug)]
struct Made {
    service: String,
    overtaken_by: Option<String>,
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
        self.made.insert(text(&record.data, "/proposal/id"), Made { service, overtaken_by: None });
    }

    /// The first intent of a proposal.
    pub fn begun(&mut self, proposal: &str, service: &str) {
        let others = self.made.iter_mut().filter(|(id, made)| *id != proposal && made.service == service);
        for (_, made) in others {
            made.overtaken_by.get_or_insert_with(|| proposal.to_owned());
        }
    }

    /// A person approved one.
    pub fn approved(&self, record: &Record, findings: &mut Findings) {
        let id = text(&record.data, "/proposal/id");
        let overtaken = self.made.get(&id).and_then(|made| made.overtaken_by.as_ref());
        findings.check("approved-as-seen", overtaken.is_none(), || {
            format!("{id} is approved as it was before {overtaken:?} was begun on the same service")
        });
    }
}
