//! What several benchmarks are made of.

pub mod open_loop;
pub mod slow_service;
