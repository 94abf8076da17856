//! The words a `sidecar-proxy` and the `lightsout` brain both speak.
//!
//! Types and codecs only. Absent on purpose: any runtime, any socket, any file, any clock. A caller
//! reads the file and passes its text; a caller reads the clock and passes the instant.

pub mod action;
pub mod canonical;
pub mod document;
pub mod id;
pub mod latency;
pub mod snapshot;
pub mod telemetry;
pub mod trial;
pub mod wire;
pub mod workload;

/// The version of the telemetry stream and the action API spoken by this build. A peer that
/// announces another one is refused with a message naming both.
pub const PROTOCOL_VERSION: u32 = 1;

/// The environment variable by which whoever starts a brain tells it to end when its standard input does,
/// so that a brain beside a proxy does not outlive it, however the proxy ends.
pub const ENDS_WITH_STDIN: &str = "LIGHTSOUT_ENDS_WITH_STDIN";
