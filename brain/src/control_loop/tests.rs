//! The whole loop against a mesh on paper.

mod ahead;
mod approvals;
mod canaries;
mod closed_loop;
mod counsel;
mod earning;
mod explained;
mod finding;
mod hostile;
mod learning;
mod origin;
mod prior;
mod quiet;
mod remedies;
mod restart;
mod silence;
mod staged;
mod troubles;
mod undoing;

use super::*;
use protocol::telemetry::Window;

use crate::domain::{ActorKind, Command, PersonAnswer, PersonRequest, ProposalState, Verdict};
use crate::simulation::{Fault, Mesh, Spec, Surge};

/// A loop, a mesh, and all that was said.
struct World {
    brain: ControlLoop,
    mesh: Mesh,
    commands: Vec<Command>,
    said: Vec<(i64, Event)>,
    audit_ok: bool,
    requests: Vec<PersonRequest>,
    /// Who makes them.
    person: &'static str,
    answers: Vec<PersonAnswer>,
    requests_seen: u64,
    failures_seen: u64,
    /// By how much the brain's clock is behind.
    clock_back_ms: i64,
}

fn shop(rps: f64) -> Vec<Spec> {
    vec![
        Spec::new("web", "internet", 1, rps),
        Spec::new("cart", "web", 5, rps),
        Spec::new("catalog", "cart", 1, rps),
    ]
}

fn fault(service: &'static str, endpoint: Option<usize>, from_s: f64, error_share: f64) -> Fault {
    Fault { service, endpoint, from_s, to_s: 1e9, error_share, slow_factor: 1.0 }
}

impl World {
    fn new(specs: Vec<Spec>, seed: u64, mode: Mode) -> Self {
        let options = LoopOptions::default();
        Self {
            brain: ControlLoop::new(Policies::shipped().unwrap(), mode, options),
            mesh: Mesh::new(specs, seed),
            commands: Vec::new(),
            said: Vec::new(),
            audit_ok: true,
            requests: Vec::new(),
            person: "ada",
            answers: Vec::new(),
            requests_seen: 0,
            failures_seen: 0,
            clock_back_ms: 0,
        }
    }

    fn second(&mut self) -> Vec<Event> {
        self.second_with(|_| {})
    }

    /// A second whose windows are not what the mesh did.
    fn second_with(&mut self, falsify: impl FnOnce(&mut Vec<Window>)) -> Vec<Event> {
        let replies = std::mem::take(&mut self.commands).into_iter().map(|c| self.mesh.obey(c)).collect();
        let mut windows = self.mesh.second();
        falsify(&mut windows);
        for cell in windows.iter().flat_map(|w| &w.cells).filter(|c| c.caller == "internet") {
            self.requests_seen += cell.requests;
            self.failures_seen += cell.failures();
        }
        let now_ms = self.mesh.now_ms() - self.clock_back_ms;
        let who = Actor { kind: ActorKind::Person, id: self.person.into() };
        let requests = std::mem::take(&mut self.requests);
        let requests = requests.into_iter().enumerate().map(|(n, r)| (n as u64, who.clone(), r)).collect();
        let fleet = self.mesh.fleet();
        let input = TickInput { now_ms, windows, fleet, replies, requests, audit_ok: self.audit_ok };
        let out = self.brain.tick(input);
        self.commands.extend(out.commands);
        self.answers.extend(out.answers.into_iter().map(|(_, a)| a));
        let events: Vec<Event> = out.events.into_iter().map(|(_, e)| e).collect();
        self.said.extend(events.iter().cloned().map(|e| (now_ms, e)));
        events
    }

    fn run(&mut self, seconds: usize) -> &mut Self {
        for _ in 0..seconds {
            self.second();
        }
        self
    }

    /// In the next second a person agrees to what waits.
    fn agree(&mut self) {
        let waiting = self.brain.view().proposals.into_iter().find(|p| p.state == ProposalState::Pending);
        let yes = |p: crate::domain::Proposal| PersonRequest::Approve {
            proposal: p.id,
            digest: p.digest,
            reason: String::new(),
        };
        self.requests = waiting.map(yes).into_iter().collect();
    }

    /// Seconds since the start at which something was first said.
    fn first(&self, what: impl Fn(&Event) -> bool) -> Option<f64> {
        let found = self.said.iter().find(|(_, e)| what(e));
        found.map(|(ms, _)| (ms - self.mesh.start_ms) as f64 / 1_000.0)
    }

    fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.said.iter().filter(|(_, e)| what(e)).count()
    }

    fn opened(&self) -> Vec<crate::domain::Incident> {
        let incidents = self.said.iter().filter_map(|(_, e)| match e {
            Event::IncidentOpened { incident, .. } => Some(incident.clone()),
            _ => None,
        });
        incidents.collect()
    }

    /// The kinds of everything said, in order, repeats run together.
    fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = Vec::new();
        for (_, event) in &self.said {
            let value = serde_json::to_value(event).unwrap();
            let kind = value["type"].as_str().unwrap().to_owned();
            let kind = match event {
                Event::Verdict { judgement, .. } => format!("{kind} {:?}", judgement.verdict).to_lowercase(),
                Event::Effect { effect, .. } => format!("{kind} {:?}", effect.kind).to_lowercase(),
                Event::Intent { action, .. } => format!("{kind} {}", action.action.kind.name()),
                _ => kind,
            };
            if story.last() != Some(&kind) {
                story.push(kind);
            }
        }
        story
    }
}

fn is_intent(event: &Event) -> bool {
    matches!(event, Event::Intent { .. })
}

fn is_allow(event: &Event) -> bool {
    matches!(event, Event::Verdict { judgement, .. } if judgement.verdict == Verdict::Allow)
}

fn is_opened(event: &Event) -> bool {
    matches!(event, Event::IncidentOpened { .. })
}
