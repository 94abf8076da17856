//! A lean forwarding proxy that takes leased actions and reports what it sees.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod control;
pub mod digest;
pub mod durable;
pub mod error;
pub mod leases;
pub mod listener;
pub mod live_state;
pub mod middleware;
pub mod pipeline;
pub mod routing;
pub mod settings;
mod signals;
pub mod source;
pub mod state_file;
pub mod supervise;
pub mod table;
pub mod telemetry;
pub mod token;
pub mod upstream;
mod wire;
pub mod worker;
