//! Who may come, who must answer, and who is meant by a route: SPIFFE ids, judged.

use std::path::PathBuf;

use super::findings::{Findings, Place};
use crate::config::{self, ClientAuthMode};
use crate::identity::allowed::Principal;
use crate::identity::client_auth::{ClientAuthFiles, Demand};

/// The most entries of one list.
const MAX_PRINCIPALS: usize = 10_000;

/// What is asked of clients: `Some(None)` is nothing, `None` that it cannot be told.
pub(super) fn client_auth(
    given: &config::ClientAuth,
    at: &Place,
    findings: &mut Findings,
) -> Option<Option<ClientAuthFiles>> {
    let allowed = principals(&given.allowed, &at.at("allowed"), findings);
    let demand = match given.mode {
        ClientAuthMode::Off => return Some(None),
        ClientAuthMode::Permissive => Demand::Permissive,
        ClientAuthMode::Strict => Demand::Strict,
    };
    let Some(bundle) = &given.ca_path else {
        findings.add(&at.at("ca_path"), "say whom to believe: the file with the authorities' certificates");
        return None;
    };
    // A list of which an entry is missing would mean others than were meant.
    if allowed.len() < given.allowed.len() {
        return None;
    }
    let lists = given.crl_path.as_ref().map(PathBuf::from);
    Some(Some(ClientAuthFiles { demand, bundle: PathBuf::from(bundle), lists, allowed }))
}

/// The entries that can be understood; the others are reported.
pub(super) fn principals(given: &[String], at: &Place, findings: &mut Findings) -> Vec<Principal> {
    if given.len() > MAX_PRINCIPALS {
        findings.add(at, format!("at most {MAX_PRINCIPALS} entries"));
    }
    let mut all = Vec::with_capacity(given.len().min(MAX_PRINCIPALS));
    for (n, text) in given.iter().enumerate().take(MAX_PRINCIPALS) {
        all.extend(principal(text, &at.at(n), findings));
    }
    all
}

/// One entry.
pub(super) fn principal(text: &str, at: &Place, findings: &mut Findings) -> Option<Principal> {
    let read = Principal::parse(text);
    let bad = |why| findings.add(at, format!("{text:?} is no SPIFFE id, nor one with /* at its end: {why}"));
    read.map_err(bad).ok()
}
