//! The HTTP API: what the brain knows, and what people may ask of it (CONTRACTS §5).
//!
//! Every write shows a token, or comes from a browser's session; what its role may do is [`crate::access::Deed`]'s.
//! Reads are open on loopback unless brain.yaml says otherwise. A write goes to the control loop and is answered
//! by it: nothing here changes anything by itself.

mod actions;
mod audit;
mod auth;
mod autonomy;
mod backtests;
mod canaries;
mod events;
mod forecasts;
mod health;
mod incidents;
pub mod live;
mod mode;
pub mod openapi;
mod problem;
mod proposals;
mod request;
mod security_headers;
mod series;
pub mod server;
mod services;
mod session;
mod status;

pub use actions::{ProposeBody, UndoBody};
pub use canaries::OrderBody;
pub use mode::{FreezeBody, ModeBody};
pub use proposals::{ApproveBody, RejectBody};
pub use series::Series;
pub use server::{Api, router};
pub use services::{Edge, Topology};
pub use session::{LoginBody, SessionView};
pub use status::{AuditStatus, Counts, Status};

#[cfg(test)]
mod tests;
