//! From a request to a service: which route, and which share of its split.

pub mod matching;
pub mod precedence;
pub mod router;
pub mod traffic_split;
pub mod view;
