//! Canaries: a new version earns its traffic, or loses it, for a stated reason.

pub mod judge;
