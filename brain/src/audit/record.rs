//! One record of the audit log, and how an event becomes one.

use jiff::Timestamp;
use protocol::canonical;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::{Actor, Event};

/// What the first record calls its predecessor.
pub const FIRST_PREV_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One thing that happened, chained to the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
// A rollout has a record, too: a name of its own keeps this one from being numbered as more types come.
#[schemars(rename = "AuditRecord")]
pub struct Record {
    /// From 1, without a gap.
    pub seq: u64,
    /// RFC 3339, UTC, with milliseconds.
    pub at: String,
    /// Who did it.
    pub actor: Actor,
    /// Which event.
    pub kind: String,
    /// The service it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The incident it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The action it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The event without what stands in the other fields.
    pub data: Value,
    /// The hash of the record before.
    pub prev_hash: String,
    /// SHA-256 over the canonical JSON of all other fields.
    pub hash: String,
}

impl Record {
    /// The record of `event`, after the one whose hash is `prev_hash`.
    ///
    /// # Errors
    /// The event cannot be written as JSON, or the time is outside the calendar.
    pub fn of(
        seq: u64,
        at_ms: i64,
        actor: &Actor,
        event: &Event,
        prev_hash: &str,
    ) -> Result<Self, serde_json::Error> {
        let at = instant(Timestamp::from_millisecond(at_ms).map_err(serde::ser::Error::custom)?);
        let (service, incident, action) = subjects(event);
        let (kind, mut data) = kind_and_data(event)?;
        // As it comes back from the store, whatever order maps keep in this build.
        data.sort_all_objects();
        let mut record = Self {
            seq,
            at,
            actor: actor.clone(),
            kind,
            service,
            incident,
            action,
            data,
            prev_hash: prev_hash.to_owned(),
            hash: String::new(),
        };
        record.hash = record.computed_hash();
        Ok(record)
    }

    /// The event that this record was made of: what stands in columns of its own comes back into it.
    ///
    /// # Errors
    /// It is of a kind, or of a shape, that this build does not know.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        let mut fields = self.data.as_object().cloned().unwrap_or_default();
        fields.insert("type".to_owned(), Value::String(self.kind.clone()));
        let columns = [("service", &self.service), ("incident", &self.incident), ("action", &self.action)];
        for (name, value) in columns {
            if let Some(value) = value.as_ref().filter(|_| !fields.contains_key(name)) {
                fields.insert(name.to_owned(), Value::String(value.clone()));
            }
        }
        serde_json::from_value(Value::Object(fields))
    }

    /// When it happened, milliseconds since the epoch; `None` where `at` is no instant.
    #[must_use]
    pub fn at_ms(&self) -> Option<i64> {
        self.at.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    }

    /// What `hash` must be.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(map) = &mut value {
            map.remove("hash");
        }
        hex::encode(Sha256::digest(canonical::to_string(&value).as_bytes()))
    }
}

/// RFC 3339, UTC, always with milliseconds: so that instants sort as their texts do.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The event's type, and its fields without what the record's own columns say.
fn kind_and_data(event: &Event) -> Result<(String, Value), serde_json::Error> {
    let mut fields = match serde_json::to_value(event)? {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => return Err(serde::ser::Error::custom("an event without a type")),
    };
    // Whole objects under these names stay; mere names of them are columns.
    for column in ["service", "incident", "action"] {
        if fields.get(column).is_some_and(|v| v.is_string() || v.is_null()) {
            fields.remove(column);
        }
    }
    fields.retain(|_, value| !value.is_null());
    Ok((kind, Value::Object(fields)))
}

type Subjects = (Option<String>, Option<String>, Option<String>);

/// Service, incident and action that an event is about.
fn subjects(event: &Event) -> Subjects {
    match event {
        Event::IncidentOpened { incident, .. }
        | Event::IncidentUpdated { incident }
        | Event::IncidentClosed { incident, .. } => {
            (Some(incident.service.clone()), Some(incident.id.clone()), None)
        }
        Event::Proposal { proposal } | Event::Verdict { proposal, .. } | Event::Decision { proposal, .. } => {
            (Some(proposal.action.service.clone()), proposal.incident.clone(), None)
        }
        Event::Intent { action, .. }
        | Event::Widened { action, .. }
        | Event::Renewed { action }
        | Event::Effect { action, .. }
        | Event::Undo { action, .. }
        | Event::ActionEnded { action, .. } => {
            (Some(action.action.service.clone()), action.incident.clone(), Some(action.id.clone()))
        }
        Event::Receipt { action, service, incident, .. }
        | Event::Refusal { action, service, incident, .. } => {
            (Some(service.clone()), incident.clone(), Some(action.clone()))
        }
        Event::CanaryStarted { canary, .. }
        | Event::CanaryMoved { canary }
        | Event::CanaryHeld { canary }
        | Event::CanaryLooked { canary }
        | Event::CanaryEnded { canary } => (Some(canary.service.clone()), None, None),
        Event::Advised { incident, .. } => (None, incident.clone(), None),
        Event::BrainStarted { .. }
        | Event::Autonomy { .. }
        | Event::Tombstone { .. }
        | Event::Mode { .. }
        | Event::Frozen { .. }
        | Event::Unfrozen { .. } => (None, None, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {

    use super::*;
    use crate::domain::{ActorKind, Refusal};

    #[test]
    fn the_audit_record_is_stable() {
        let actor = Actor { kind: ActorKind::Proxy, id: "p1".into() };
        let event = Event::Refusal {
            action: "act-1".into(),
            service: "cart".into(),
            incident: Some("inc-1".into()),
            proxy: "p1".into(),
            refusal: Refusal { status: 422, detail: "floor\u{1b}[2J".into() },
        };
        let record = Record::of(1, 1_700_000_000_123, &actor, &event, FIRST_PREV_HASH).unwrap();
        insta::assert_json_snapshot!(record);
    }

    #[test]
    fn a_record_survives_its_json_with_its_hash() {
        let actor = Actor { kind: ActorKind::Brain, id: "b".into() };
        let event = Event::BrainStarted { epoch: 3, version: "0.1.0".into() };
        let record = Record::of(7, 0, &actor, &event, FIRST_PREV_HASH).unwrap();
        let back: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(back, record);
        assert_eq!(back.computed_hash(), record.hash);
        assert_eq!(back.event().unwrap(), event);
        assert_eq!(back.at_ms(), Some(0));
    }

    #[test]
    fn the_event_comes_back_out_of_its_record() {
        let actor = Actor { kind: ActorKind::Proxy, id: "p1".into() };
        let event = Event::Refusal {
            action: "act-1".into(),
            service: "cart".into(),
            incident: None,
            proxy: "p1".into(),
            refusal: Refusal { status: 422, detail: "floor".into() },
        };
        assert_eq!(Record::of(1, 0, &actor, &event, FIRST_PREV_HASH).unwrap().event().unwrap(), event);
    }
}
