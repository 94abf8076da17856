//! A lean forwarding proxy that takes leased actions and reports what it sees.

pub mod connection;
pub mod error;
pub mod listener;
pub mod live_state;
pub mod middleware;
pub mod pipeline;
pub mod routing;
pub mod settings;
mod signals;
pub mod table;
pub mod telemetry;
pub mod upstream;
mod wire;
pub mod worker;
