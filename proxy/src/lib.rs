//! A lean forwarding proxy that takes leased actions and reports what it sees.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod digest;
pub mod durable;
pub mod leases;
pub mod listener;
pub mod live_state;
pub mod settings;
pub mod source;
pub mod state_file;
pub mod supervise;
pub mod table;
pub mod telemetry;
pub mod token;
pub mod upstream;
pub mod worker;
