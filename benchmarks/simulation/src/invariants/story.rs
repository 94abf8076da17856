//! What the log tells of each target over an hour: reversals, harm, people's refusals.

use std::collections::BTreeMap;

use ::brain::audit::Record;
use serde_json::Value;

use super::Findings;

const HOUR_MS: i64 = 3_600_000;
/// Certainly a relapse; the brain's own bound is longer.
const RELAPSE_MS: i64 = 60_000;

/// The text at `pointer`, empty where there is none.
pub fn text(data: &Value, pointer: &str) -> String {
    data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Service and endpoint, or service and what else is aimed at.
fn target(action: &Value) -> String {
    let (service, kind) = (text(action, "/service"), &action["kind"]);
    match kind["type"].as_str().unwrap_or_default() {
        "block_ips" | "limit_rate" => format!("{service}/clients"),
        "set_weights" => format!("{service}/{}", kind["weights"]),
        "eject_endpoint" | "trip_breaker" => format!("{service}/{}", text(kind, "/endpoint")),
        _ => service,
    }
}

#[derive(Debug, Clone)]
struct Begun {
    target: String,
    kind: String,
    live: bool,
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Story {
    /// By proposal.
    begun: BTreeMap<String, Begun>,
    reversals: BTreeMap<String, Vec<i64>>,
    ended: BTreeMap<String, i64>,
    refused: BTreeMap<String, i64>,
    harmed: BTreeMap<String, i64>,
}

impl Story {
    /// Whether nothing was begun for this proposal yet: later intents are its probes.
    pub fn is_first(&self, proposal: &str) -> bool {
        !self.begun.contains_key(proposal)
    }

    /// A proposal's first intent; `alone`: no person stands behind it.
    pub fn begins(&mut self, record: &Record, alone: bool, findings: &mut Findings) {
        let (data, at_ms) = (&record.data, record.at_ms().unwrap_or(0));
        let (aim, kind) = (target(&data["action"]["action"]), text(data, "/action/action/kind/type"));
        let proposal = text(data, "/action/proposal");
        if alone {
            let lately = |ms: &&i64| at_ms - **ms < HOUR_MS;
            let count = self.reversals.get(&aim).map_or(0, |all| all.iter().filter(lately).count());
            findings.check("reversals", count < 2, || {
                format!("{proposal} acts on {aim} after {count} reversals, and asked nobody")
            });
            let harm = self.harmed.get(&kind).filter(lately);
            findings.check("harm-demotes", harm.is_none(), || {
                format!("{proposal} does {kind} alone, which did harm at {harm:?}")
            });
            let no = self.refused.get(&aim).filter(lately);
            findings.check("person-stands", no.is_none(), || {
                format!("{proposal} acts on {aim}, which a person refused at {no:?}")
            });
        }
        if self.ended.get(&aim).is_some_and(|ms| at_ms - ms < RELAPSE_MS && at_ms >= *ms) {
            self.reversals.entry(aim.clone()).or_default().push(at_ms);
        }
        self.begun.insert(proposal, Begun { target: aim, kind, live: true });
    }

    /// An effect was measured.
    pub fn effect(&mut self, record: &Record) {
        let at_ms = record.at_ms().unwrap_or(0);
        let Some(begun) = self.begun.get(&text(&record.data, "/action/proposal")) else { return };
        let kind = text(&record.data, "/effect/kind");
        if kind == "harmed" || kind == "unchanged" {
            self.reversals.entry(begun.target.clone()).or_default().push(at_ms);
        }
        if kind == "harmed" {
            self.harmed.insert(begun.kind.clone(), at_ms);
        }
    }

    /// An action is over, or taken back.
    pub fn over(&mut self, record: &Record) {
        let (data, at_ms) = (&record.data, record.at_ms().unwrap_or(0));
        let person = text(data, "/by/kind");
        let proposal = text(data, "/action/proposal");
        let Some(begun) = self.begun.get_mut(&proposal) else { return };
        self.ended.insert(begun.target.clone(), at_ms);
        let one = record.kind == "undo" && text(data, "/why") != "revert all";
        if one && (person == "person" || person == "pipeline") {
            self.refused.insert(begun.target.clone(), at_ms);
        }
    }

    /// A person rejected a proposal.
    pub fn said_no(&mut self, action: Option<&Value>, record: &Record) {
        let Some(action) = action else { return };
        self.refused.insert(target(action), record.at_ms().unwrap_or(0));
    }

    /// A life is over: what it held ends by itself.
    pub fn restarted(&mut self, at_ms: i64) {
        for begun in self.begun.values_mut().filter(|b| b.live) {
            begun.live = false;
            self.ended.insert(begun.target.clone(), at_ms);
        }
    }
}
