//! Canaries: a new version earns its traffic, or loses it, for a stated reason.
//!
//! [`CanarySpec`] says what is asked, [`Canary`] is the rollout as a pure state machine that is shown what
//! is [`Sight`] and says what it [`Canary::wanted`] of the proxies, [`judge`] weighs the evidence. Absent:
//! leases (the control loop keeps what is wanted in force), clocks, I/O.

mod approach;
mod budget;
mod business;
mod gates;
mod holds;
pub mod judge;
mod looks;
mod orders;
mod phase;
mod preview;
mod record;
pub mod report;
mod rollout;
mod sight;
mod spec;
mod strategies;
mod view;

pub use budget::{BudgetView, ErrorBudget, WhenSpent};
pub use business::{MetricCall, Prometheus};
pub use gates::{Gate, GateAnswer, GateCall, GateMoment, GateState, MAX_GATES, WhenUnreachable};
pub use looks::Looks;
pub use orders::{Order, OrderRefused};
pub use phase::{Change, Hold, HoldKind, Pause, Phase};
pub use preview::PreviewStage;
pub use record::{Move, Point, Record, Totals};
pub use rollout::Canary;
pub use sight::{FleetSight, Sight, Trouble, VersionSight};
pub use spec::{Approval, CanarySpec, SpecKind, Strategy};
pub use view::{CanaryDetail, CanaryView};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
