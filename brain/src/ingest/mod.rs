//! Telemetry in: authenticate who speaks, refuse what cannot be, order and complete the windows.
//!
//! Absent: any opinion about what a window says; that begins with the control loop's first stage.

mod order;
mod proxies;
pub mod secured;
mod server;

pub use order::{Orderer, Refused};
pub use proxies::{KnownProxy, ProxyTable, Target};
pub use server::{Ingest, MAX_FRAME_BYTES};
