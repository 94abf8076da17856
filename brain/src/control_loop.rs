//! Temporary stand-in until the stages are merged: sees nothing, does nothing.
use crate::domain::{Mode, PersonAnswer, TickInput, TickOutput, View};
use crate::policies::Policies;

/// Stand-in.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// Stand-in.
    pub epoch: u64,
    /// Stand-in.
    pub brain_id: String,
    /// Stand-in.
    pub open_loop: bool,
    /// Stand-in.
    pub budgets: bool,
    /// Stand-in.
    pub first_incident: u64,
    /// Stand-in.
    pub first_proposal: u64,
    /// Stand-in.
    pub first_action: u64,
}

/// Stand-in.
#[derive(Debug)]
pub struct ControlLoop {
    mode: Mode,
    options: LoopOptions,
    now_ms: i64,
}

impl ControlLoop {
    /// Stand-in.
    pub fn new(_: Policies, mode: Mode, options: LoopOptions) -> Self {
        Self { mode, options, now_ms: 0 }
    }
    /// Stand-in.
    pub fn tick(&mut self, input: TickInput) -> TickOutput {
        self.now_ms = input.now_ms;
        let answer = |(id, _, _)| (id, PersonAnswer::Invalid("stand-in".into()));
        TickOutput { answers: input.requests.into_iter().map(answer).collect(), ..TickOutput::default() }
    }
    /// Stand-in.
    pub fn view(&self) -> View {
        View {
            at_ms: self.now_ms,
            mode: self.mode,
            frozen: false,
            epoch: self.options.epoch,
            services: Vec::new(),
            incidents: Vec::new(),
            proposals: Vec::new(),
            actions: Vec::new(),
            proxies: Vec::new(),
        }
    }
    /// Stand-in.
    pub fn set_policies(&mut self, _: Policies) {}
    /// Stand-in.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.options.epoch = epoch;
    }
}
