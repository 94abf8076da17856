//! The data path against real sockets: workers as they run in production, origins that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod faults;
mod floods;
mod h2_conformance;
mod h2_raw;
mod http1;
mod mesh;
mod messages;
mod origin;
mod recorder;
mod refusals;
mod reporting;
mod responses;
mod rest;
mod smuggling;
mod wire;
