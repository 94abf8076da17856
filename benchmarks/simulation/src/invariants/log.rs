//! What a store says, read as JSON by somebody who knows only the contract of the audit record.

use std::collections::{BTreeMap, BTreeSet};

use ::brain::audit::{Chain, Record};
use ::brain::domain::{Command, Verb};
use serde_json::Value;

use super::Findings;
use super::approvals::Approvals;
use super::story::{Story, text};
use crate::proxy::{ENDPOINTS, SERVICES, endpoint, version};
use crate::store::Store;

/// The share of a service that live actions may take.
const MOST_TAKEN: f64 = 0.4;
/// Older telemetry is none, milliseconds.
const FRESH_MS: i64 = 5_000;

/// One intent.
#[derive(Debug, Clone)]
struct Intent {
    kind: Value,
    service: String,
    proxies: BTreeSet<String>,
    live: bool,
    /// When it was given up, of the world's time.
    over_ms: Option<i64>,
}

/// A reader of one store.
#[derive(Debug, Default)]
pub struct Log {
    read: usize,
    chain: Chain,
    intents: BTreeMap<String, Intent>,
    allowed: BTreeSet<String>,
    by_person: BTreeSet<String>,
    frozen: bool,
    story: Story,
    approvals: Approvals,
}

impl Log {
    /// Reads what is new. `newest_ms` is the end of the newest window, by service, that the brain was given.
    pub fn read(&mut self, store: &Store, newest_ms: &BTreeMap<String, i64>, findings: &mut Findings) {
        for record in store.records.iter().skip(self.read) {
            let flaw = self.chain.step(record).err();
            findings.check("chain", flaw.is_none(), || format!("{flaw:?}"));
            self.take(record, newest_ms, findings);
        }
        self.read = store.records.len();
    }

    fn take(&mut self, record: &Record, newest_ms: &BTreeMap<String, i64>, findings: &mut Findings) {
        let data = &record.data;
        let proposal = || text(data, "/proposal/id");
        if record.kind == "proposal" {
            self.approvals.proposed(record);
        }
        match record.kind.as_str() {
            "brain_started" => {
                self.intents.values_mut().for_each(|intent| intent.live = false);
                self.story.restarted(record.at_ms().unwrap_or(0));
            }
            "verdict" if text(data, "/judgement/verdict") == "allow" => {
                self.allowed.insert(proposal());
            }
            "decision" => {
                if text(data, "/decision") == "approved" {
                    self.by_person.insert(proposal());
                    self.approvals.approved(record, findings);
                }
                if text(data, "/decision") == "rejected" {
                    self.story.said_no(data.pointer("/proposal/action"), record);
                }
            }
            "proposal" if data.pointer("/proposal/asked_by").is_some() => {
                self.by_person.insert(proposal());
            }
            "proposal" if is_foreign(data) => {
                self.by_person.insert(proposal());
            }
            "frozen" => self.frozen = true,
            "unfrozen" => self.frozen = false,
            "intent" => self.intent(record, newest_ms, findings),
            "widened" => self.widened(record, findings),
            "undo" | "action_ended" => {
                let id = text(data, "/action/id");
                if let Some(intent) = self.intents.get_mut(&id) {
                    intent.live = false;
                    intent.over_ms.get_or_insert(findings.now_ms);
                }
                self.approvals.over(&id);
                self.story.over(record);
            }
            "effect" => self.story.effect(record),
            _ => {}
        }
    }

    fn intent(&mut self, record: &Record, newest_ms: &BTreeMap<String, i64>, findings: &mut Findings) {
        let data = &record.data;
        let (id, proposal) = (text(data, "/action/id"), text(data, "/action/proposal"));
        let (service, kind) =
            (text(data, "/action/action/service"), data["action"]["action"]["kind"].clone());
        findings.check("unique-ids", !self.intents.contains_key(&id), || format!("{id} is used again"));
        let permitted = self.allowed.contains(&proposal) || self.by_person.contains(&proposal);
        findings.check("verdict-first", permitted, || format!("{id}: nobody allowed {proposal}"));
        findings.check("frozen-brain", !self.frozen, || format!("{id} begins although frozen"));
        let known = known(&service, &kind);
        findings.check("known-targets", known, || format!("{id} is about {service} {kind}"));
        let proxies = names(data);
        let first = self.story.is_first(&proposal);
        if first {
            self.approvals.begun(&proposal, &service, &id);
            let alone = !self.by_person.contains(&proposal);
            let at_ms = record.at_ms().unwrap_or(0);
            if alone {
                let newest = newest_ms.get(&service).copied().unwrap_or(i64::MIN);
                findings.check("fresh-telemetry", at_ms.saturating_sub(newest) <= FRESH_MS, || {
                    format!("{id} begins at {at_ms} on telemetry of {newest}")
                });
            }
            self.story.begins(record, alone, findings);
        }
        let intent = Intent { kind, service: service.clone(), proxies, live: true, over_ms: None };
        self.intents.insert(id.clone(), intent);
        let taken = self.taken(&service);
        findings.check("blast-radius", taken <= MOST_TAKEN + 1e-9, || {
            format!("with {id} {taken} of {service} is taken")
        });
    }

    fn widened(&mut self, record: &Record, findings: &mut Findings) {
        let id = text(&record.data, "/action/id");
        findings.check("frozen-brain", !self.frozen, || format!("{id} spreads although frozen"));
        if let Some(intent) = self.intents.get_mut(&id) {
            intent.proxies.extend(names(&record.data));
        }
    }

    /// Share of a service's endpoints that live actions give nothing.
    fn taken(&self, service: &str) -> f64 {
        let mut out: BTreeSet<usize> = BTreeSet::new();
        let live = self.intents.values().filter(|i| i.live && i.service == service);
        for intent in live {
            let s = SERVICES.iter().position(|name| *name == service).unwrap_or(0);
            for e in 0..ENDPOINTS {
                let name = endpoint(s, e);
                let kind = &intent.kind;
                let named = kind["endpoint"].as_str() == Some(&name) && kind["type"] != "reset_breaker";
                let own = kind["weights"].get(&name);
                let weight = own.or_else(|| kind["weights"].get(format!("version:{}", version(e))));
                if named || weight.is_some_and(|w| w == 0) {
                    out.insert(e);
                }
            }
        }
        out.len() as f64 / ENDPOINTS as f64
    }

    /// Judges a command that a brain is about to send.
    pub fn sent(&self, command: &Command, findings: &mut Findings) {
        let Verb::Put(request) = &command.verb else { return };
        let kind = serde_json::to_value(&request.kind).unwrap_or_default();
        let told = self.intents.get(&command.action).is_some_and(|intent| {
            intent.kind == kind
                && intent.service == request.service.as_str()
                && intent.proxies.contains(&command.proxy)
        });
        findings.check("intent-first", told, || format!("the log does not know of {command:?}"));
    }

    /// Whether an action should be on every proxy (or else on none); nothing where it was given up after `lately_ms`, and
    /// may be on its way back, or where a person has stopped everything, which keeps it where it is.
    pub fn is_live(&self, id: &str, lately_ms: i64) -> Option<bool> {
        let Some(intent) = self.intents.get(id) else { return Some(false) };
        let settled = !self.frozen && intent.over_ms.is_none_or(|at_ms| at_ms < lately_ms);
        settled.then_some(intent.live)
    }
}

/// A pipeline's proposal names nobody who asked: its speaker does.
fn is_foreign(data: &Value) -> bool {
    let speakers = data.pointer("/proposal/speakers").and_then(Value::as_array);
    let asked = |s: &Value| s["name"].as_str().is_some_and(|n| n.starts_with("pipeline:"));
    speakers.is_some_and(|all| all.iter().any(asked))
}

fn names(data: &Value) -> BTreeSet<String> {
    let listed = data["proxies"].as_array().into_iter().flatten();
    listed.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn known(service: &str, kind: &Value) -> bool {
    let Some(s) = SERVICES.iter().position(|name| *name == service) else { return false };
    let ours = |name: &str| (0..ENDPOINTS).any(|e| endpoint(s, e) == name);
    let named = kind["endpoint"].as_str().is_none_or(ours);
    let weights = kind["weights"].as_object().into_iter().flat_map(|map| map.keys());
    named && weights.into_iter().all(|of| ours(of) || matches!(of.as_str(), "version:v1" | "version:v2"))
}
