//! The brain of Lightsout: sees, decides and acts for a mesh of sidecar proxies, and proves what it did.

pub mod action;
pub mod api;
pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
mod console;
pub mod control_loop;
pub mod demo;
pub mod domain;
pub mod fleet;
pub mod ingest;
pub mod metrics;
pub mod policies;
pub mod policy_files;
pub mod runtime;
pub mod settings;
pub mod token;
