//! The brain of Lightsout: sees, decides and acts for a mesh of sidecar proxies, and proves what it did.

pub mod action;
pub mod cli;
pub mod control_loop;
pub mod decision;
pub mod detection;
pub mod diagnosis;
pub mod domain;
pub mod guard;
pub mod policies;
pub mod replay;
pub mod state;
pub mod verification;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod simulation;
