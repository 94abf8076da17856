//! A lean forwarding proxy that takes leased actions and reports what it sees.

pub mod config;
pub mod digest;
pub mod live_state;
pub mod settings;
pub mod table;
pub mod upstream;
