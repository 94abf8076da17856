//! The book of incidents: one fault, one entry, from first evidence to quiet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Diagnosis, dependency, summary};
use crate::domain::{Cause, CauseKind, Event, Incident, IncidentState};
use crate::state::MeshState;

/// Closed incidents kept for people to look at.
const MAX_CLOSED: usize = 200;
/// Open ones: beyond, the mesh as a whole is in trouble and another entry helps nobody.
const MAX_OPEN: usize = 256;
/// A confidence that moved by so much is worth an update.
const NEWS: f64 = 0.1;
/// Of more clients than this one more is no news.
const MANY: usize = 32;
/// A young `service` incident may turn out to be one endpoint, milliseconds.
const REVISE_MS: i64 = 30_000;

/// An open incident and what the loop keeps beside it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The incident.
    pub incident: Incident,
    /// When its symptom was last seen.
    pub seen_ms: i64,
    /// A person decided: nothing more is proposed.
    pub settled: bool,
    /// Kinds of action that were tried and did not help.
    pub tried: Vec<&'static str>,
    /// In an open loop: what would have been done.
    pub acted: bool,
    /// When something was last proposed, and what became of it (verdict and deciding check).
    pub proposed: Option<(i64, String)>,
    told: f64,
}

/// All of them.
#[derive(Debug)]
pub struct Book {
    open: Vec<Case>,
    closed: VecDeque<Incident>,
    next: u64,
}

impl Book {
    /// An empty one whose first incident is `inc-{first}`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { open: Vec::new(), closed: VecDeque::new(), next: first.max(1) }
    }

    /// The open ones, oldest first.
    pub fn open_mut(&mut self) -> &mut [Case] {
        &mut self.open
    }

    /// What is blamed on `service` now.
    pub fn blamed_on<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Cause> {
        self.open.iter().map(|case| &case.incident.cause).filter(move |cause| cause.service == service)
    }

    /// One of the open ones.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&Case> {
        self.open.iter().find(|c| c.incident.id == id)
    }

    /// The same, to write in.
    pub fn case_mut(&mut self, id: &str) -> Option<&mut Case> {
        self.open.iter_mut().find(|c| c.incident.id == id)
    }

    /// The services that have an open incident, and whether one is about them as a whole.
    #[must_use]
    pub fn culprits(&self) -> BTreeMap<String, bool> {
        let mut culprits = BTreeMap::new();
        for cause in self.open.iter().map(|c| &c.incident.cause) {
            let whole = matches!(
                cause.kind,
                CauseKind::Service | CauseKind::Overload | CauseKind::BadVersion | CauseKind::Dependency
            );
            *culprits.entry(cause.service.clone()).or_default() |= whole;
        }
        let shared = self.open.iter().map(|c| &c.incident).filter(|i| i.cause.kind == CauseKind::Dependency);
        for name in shared.flat_map(|incident| dependency::services(&incident.evidence)) {
            culprits.insert(name.to_owned(), true);
        }
        culprits
    }

    /// Newest first: the open ones, then the closed.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        let open = self.open.iter().rev().map(|c| c.incident.clone());
        open.chain(self.closed.iter().cloned()).collect()
    }

    /// Whether an open incident about a version says already what `diagnosis` says of one of its endpoints.
    #[must_use]
    pub fn covers(&self, diagnosis: &Diagnosis, mesh: &MeshState) -> bool {
        let cause = &diagnosis.cause;
        let service = mesh.services.get(&cause.service);
        let endpoint = service.zip(cause.endpoint.as_ref()).and_then(|(s, id)| s.endpoints.get(id));
        let runs = endpoint.map(|endpoint| endpoint.version.as_str());
        let versions =
            self.open.iter().map(|c| &c.incident.cause).filter(|c| c.kind == CauseKind::BadVersion);
        runs.is_some()
            && versions.into_iter().any(|c| c.service == cause.service && c.version.as_deref() == runs)
    }

    /// The diagnosis, or what it has in common with an open incident elsewhere.
    #[must_use]
    pub fn shared(&self, diagnosis: Diagnosis, mesh: &MeshState, now_ms: i64) -> Diagnosis {
        dependency::shared(&self.open, diagnosis, mesh, now_ms)
    }

    /// Enters a diagnosis: a new incident, or more about an open one.
    pub fn enter(
        &mut self,
        diagnosis: Diagnosis,
        now_ms: i64,
        digest: impl Fn(i64) -> String,
    ) -> Option<Event> {
        let revised = self.open.iter_mut().find(|c| is_about(c, &diagnosis));
        if let Some(case) = revised {
            return refresh(case, diagnosis, now_ms);
        }
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        let incident = opened(format!("inc-{}", self.next), diagnosis, now_ms);
        self.next += 1;
        let windows_digest = digest(incident.onset_ms);
        self.open.push(Case {
            told: incident.confidence,
            incident: incident.clone(),
            seen_ms: now_ms,
            settled: false,
            tried: Vec::new(),
            acted: false,
            proposed: None,
        });
        Some(Event::IncidentOpened { incident, windows_digest })
    }

    /// Closes what has been quiet for `quiet_ms` and is not `held`: by a live action, or by a trouble too thin for an alarm.
    pub fn close(&mut self, now_ms: i64, quiet_ms: i64, held: impl Fn(&Incident) -> bool) -> Vec<Event> {
        let over = |c: &Case| now_ms - c.seen_ms >= quiet_ms && !held(&c.incident);
        let mut events = Vec::new();
        for case in self.open.extract_if(.., |c| over(c)) {
            let mut incident = case.incident;
            incident.state = IncidentState::Closed;
            incident.updated_ms = now_ms;
            incident.closed_ms = Some(now_ms);
            let why = format!("no sign of it for {} s, and nothing of ours holds it down", quiet_ms / 1_000);
            self.closed.push_front(incident.clone());
            self.closed.truncate(MAX_CLOSED);
            events.push(Event::IncidentClosed { incident, why });
        }
        events
    }
}

/// Whether an open case is the same fault, or a first guess at it.
fn is_about(case: &Case, diagnosis: &Diagnosis) -> bool {
    let (old, new) = (&case.incident.cause, &diagnosis.cause);
    if old == new {
        return true;
    }
    if old.service != new.service {
        return false;
    }
    use CauseKind::{AbusiveClients, BadEndpoint, BadVersion, Dependency, Overload, Service, Unknown};
    match (old.kind, new.kind) {
        (Unknown, BadEndpoint) | (BadEndpoint, Unknown) => old.endpoint == new.endpoint,
        // One trouble of a whole service at a time, by whatever name.
        (Service | Overload | BadVersion | AbusiveClients, Service | Overload | AbusiveClients) => true,
        (Service | Overload, BadVersion | BadEndpoint) => true,
        (Service | Dependency, Dependency) | (Dependency, Service | Overload) => true,
        // A witness that disagrees makes it no other trouble, nor does one that does so no longer.
        (Service | Overload | BadVersion, Unknown) => old.endpoint == new.endpoint,
        (Unknown, BadVersion) => old.endpoint.is_none(),
        (BadEndpoint | Unknown, Service | Overload) => true,
        _ => false,
    }
}

/// How much a name says: a better one replaces a first guess, never the other way round.
fn says(kind: CauseKind) -> u8 {
    match kind {
        CauseKind::Unknown => 0,
        CauseKind::Service | CauseKind::Dependency => 1,
        CauseKind::Overload => 2,
        CauseKind::BadEndpoint | CauseKind::BadVersion | CauseKind::AbusiveClients => 3,
    }
}

fn refresh(case: &mut Case, diagnosis: Diagnosis, now_ms: i64) -> Option<Event> {
    case.seen_ms = now_ms;
    // Nothing was done yet: what waits for a person is withdrawn with the first guess.
    let idle = case.proposed.as_ref().is_none_or(|(_, outcome)| !outcome.starts_with("Allow"));
    let young = now_ms - case.incident.opened_ms < REVISE_MS && idle && !case.acted;
    let incident = &mut case.incident;
    let (old, new) = (incident.cause.kind, diagnosis.cause.kind);
    let of_whole = matches!(old, CauseKind::Service | CauseKind::Overload);
    // Most endpoints were found bad before: one that sticks out now does not make the rest well.
    let too_late = of_whole && matches!(new, CauseKind::BadEndpoint | CauseKind::BadVersion) && !young;
    let says_less = old != CauseKind::BadEndpoint && says(new) < says(old);
    if too_late || says_less {
        return None;
    }
    let changed = incident.cause != diagnosis.cause;
    if !changed && diagnosis.drilled && incident.confidence > diagnosis.confidence {
        // It is still there; what the endpoint's own evidence said of it was said better.
        return None;
    }
    if changed && old == CauseKind::AbusiveClients && !names_more(&diagnosis.cause, &incident.cause) {
        return None;
    }
    if changed {
        case.proposed = None;
        incident.cause = diagnosis.cause;
        incident.alternatives = diagnosis.alternatives;
    }
    incident.confidence = diagnosis.confidence;
    incident.summary = summary(&incident.cause, &diagnosis.evidence);
    incident.evidence = diagnosis.evidence;
    if !changed && (incident.confidence - case.told).abs() < NEWS {
        return None;
    }
    case.told = incident.confidence;
    incident.updated_ms = now_ms;
    Some(Event::IncidentUpdated { incident: incident.clone() })
}

/// Whether other clients are named than before: the same, or fewer of them, are no news, and of hundreds a few are
/// neither.
fn names_more(new: &Cause, old: &Cause) -> bool {
    let known: BTreeSet<&String> = old.ips.iter().collect();
    let others = new.ips.iter().filter(|ip| !known.contains(ip)).count();
    if known.len() <= MANY { others > 0 } else { others * 10 > known.len() }
}

fn opened(id: String, diagnosis: Diagnosis, now_ms: i64) -> Incident {
    Incident {
        id,
        state: IncidentState::Open,
        service: diagnosis.symptom,
        summary: summary(&diagnosis.cause, &diagnosis.evidence),
        cause: diagnosis.cause,
        confidence: diagnosis.confidence,
        onset_ms: diagnosis.onset_ms,
        opened_ms: now_ms,
        updated_ms: now_ms,
        closed_ms: None,
        evidence: diagnosis.evidence,
        alternatives: diagnosis.alternatives,
    }
}
