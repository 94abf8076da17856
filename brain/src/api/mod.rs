//! The HTTP API: what the brain knows, and what people may ask of it (CONTRACTS §5).
//!
//! Reads are open to whoever reaches the listener; every write shows the bearer token. A write goes to the
//! control loop and is answered by it: nothing here changes anything by itself.

mod actions;
mod audit;
mod auth;
mod autonomy;
mod events;
mod health;
mod incidents;
mod mode;
pub mod openapi;
mod problem;
mod proposals;
mod request;
pub mod server;
mod services;
mod status;

pub use actions::{ProposeBody, UndoBody};
pub use auth::Keyring;
pub use mode::{FreezeBody, ModeBody};
pub use proposals::{ApproveBody, RejectBody};
pub use server::{Api, router};
pub use services::{Edge, Topology};
pub use status::{AuditStatus, Counts, Status};

#[cfg(test)]
mod tests;
