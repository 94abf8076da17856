//! The brain of Lightsout: sees, decides and acts for a mesh of sidecar proxies, and proves what it did.

pub mod access;
pub mod action;
pub mod advisor;
pub mod api;
pub mod app;
pub mod audit;
pub mod backtest;
pub mod canary;
pub mod cli;
mod clock;
pub mod config;
mod console;
pub mod control_loop;
pub mod decision;
pub mod demo;
pub mod detection;
pub mod diagnosis;
pub mod domain;
pub mod explain;
pub mod fleet;
pub mod forecast;
pub mod guard;
pub mod history;
pub mod ingest;
pub mod learning;
pub mod metrics;
pub mod policies;
pub mod policy_files;
pub mod recording;
pub mod replay;
pub mod runtime;
pub mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod simulation;
pub mod state;
pub mod tls_files;
pub mod token;
pub mod verification;
pub mod webhook;
mod webhooks;
