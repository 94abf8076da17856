//! Who may write beside the holder of the API's own token.

use std::path::PathBuf;

use trust::identity::SpiffeId;

use super::Findings;
use crate::access::{self, Role};
use crate::config::PersonEntry;

/// The most people with a token or a certificate of their own.
const MAX_PEOPLE: usize = 256;
/// The name of whoever holds the API's own token.
pub const OPERATOR: &str = "operator";

/// Somebody who may write.
#[derive(Debug, Clone)]
pub struct PersonSettings {
    /// As the audit log calls them, and their role.
    pub who: access::Principal,
    /// Their token's file.
    pub token_path: Option<PathBuf>,
    /// The workload that they are.
    pub spiffe_id: Option<SpiffeId>,
}

/// `certificates`: whether clients are asked for theirs.
pub(super) fn people(
    entries: Vec<PersonEntry>,
    certificates: bool,
    findings: &mut Findings,
) -> Vec<PersonSettings> {
    let mut people: Vec<PersonSettings> = Vec::new();
    if entries.len() > MAX_PEOPLE {
        findings.push(("/people".to_owned(), format!("at most {MAX_PEOPLE} people can be listed")));
    }
    for (index, entry) in entries.into_iter().enumerate() {
        if let Err(why) = protocol::id::check_name(&entry.name) {
            findings.push((format!("/people/{index}/name"), why.to_string()));
        }
        if entry.name == OPERATOR || people.iter().any(|p| p.who.actor.id == entry.name) {
            findings.push((format!("/people/{index}/name"), format!("{:?} is somebody already", entry.name)));
        }
        if entry.pipeline && entry.role.is_some_and(|role| role != Role::Pipeline) {
            findings.push((format!("/people/{index}/role"), "a pipeline has the role pipeline".to_owned()));
        }
        let (place, id) = (format!("/people/{index}/spiffe_id"), entry.spiffe_id.as_deref());
        let spiffe_id = id.and_then(|text| spiffe_id(text, certificates, place, findings));
        if entry.token_path.is_none() && entry.spiffe_id.is_none() {
            let why = "say by what they are known: token_path or spiffe_id".to_owned();
            findings.push((format!("/people/{index}"), why));
        }
        let role = entry.role.unwrap_or(if entry.pipeline { Role::Pipeline } else { Role::Operator });
        people.push(PersonSettings {
            who: access::Principal::new(&entry.name, role),
            token_path: entry.token_path,
            spiffe_id,
        });
    }
    people
}

fn spiffe_id(text: &str, certificates: bool, place: String, findings: &mut Findings) -> Option<SpiffeId> {
    if !certificates {
        findings.push((place, "nobody is asked for a certificate: say api.tls.ca_path".to_owned()));
        return None;
    }
    let bad = |why| findings.push((place, format!("{text:?}: {why}")));
    SpiffeId::parse(text).map_err(bad).ok()
}
