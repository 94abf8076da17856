//! The nouns of the brain: what each stage hands to the next.
//!
//! `windows ─▶ observe ─▶ detect ─▶ diagnose ─▶ decide ─▶ guard ─▶ act ─▶ verify`
//!
//! Plain data, serialisable, without behaviour beyond naming. Absent: clocks, I/O, async. Times are
//! milliseconds since the epoch, given by whoever drives the loop: live, a recording, or a test.

mod action;
mod event;
mod incident;
mod proposal;
mod tick;
mod view;

pub use action::{Action, ActionPhase, Effect, EffectKind};
pub use event::{Actor, ActorKind, Event};
pub use incident::{Cause, CauseKind, Evidence, Incident, IncidentState, Signal};
pub use proposal::{
    Check, Decision, Judgement, Proposal, ProposalState, ProposedAction, Radius, Speaker, Verdict,
};
pub use tick::{
    Command, KeptCanary, Mode, Outcome, PersonAnswer, PersonRequest, Refusal, Reply, TickInput, TickOutput,
    Verb,
};
pub use view::{
    AutonomyRow, Bin, Budgets, CallView, EndpointView, Expected, ModelRow, ProxyView, ServiceView, Silence,
    SimulatedRow, View,
};
