//! `server.overload`, judged.

use super::findings::{Findings, Place};
use crate::config;

/// Less than this no process of ours can live in.
const LEAST_MEMORY: u64 = 16 << 20;

/// When load is shed for the process's own sake; see [`crate::overload`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverloadBounds {
    /// Resident memory that may be used; absent: what the control group allows.
    pub max_memory_bytes: Option<u64>,
    /// Share in use from which new requests are refused.
    pub shed_at: f64,
    /// Share in use from which new connections are refused.
    pub stop_at: f64,
}

impl Default for OverloadBounds {
    fn default() -> Self {
        shaped(&config::Overload::default())
    }
}

pub(super) fn overload(config: &config::Overload, at: &Place, findings: &mut Findings) -> OverloadBounds {
    findings.range(&at.at("shed_at"), config.shed_at, 0.1..=1.0);
    findings.range(&at.at("stop_at"), config.stop_at, config.shed_at.min(1.0)..=1.0);
    if let Some(bytes) = config.max_memory_bytes {
        findings.range(&at.at("max_memory_bytes"), bytes, LEAST_MEMORY..=u64::MAX >> 4);
    }
    shaped(config)
}

fn shaped(config: &config::Overload) -> OverloadBounds {
    let config::Overload { max_memory_bytes, shed_at, stop_at } = *config;
    OverloadBounds { max_memory_bytes, shed_at, stop_at }
}
