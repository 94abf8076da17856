//! From a request to a service: which route, and which share of its split.

pub mod call_terms;
pub mod cohort;
pub mod faults;
pub mod matching;
pub mod path_edit;
pub mod portion;
pub mod precedence;
mod preview;
mod route_view;
pub mod router;
pub mod shadow;
mod shares;
pub mod traffic_split;
pub mod view;
