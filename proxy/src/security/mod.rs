//! Who may ask, how often, and what browsers may make of the answer. Every room here is off unless the
//! configuration asks for it, and costs the request a look at an `Option` then.

pub mod authentication;
pub mod authorization;
pub mod cors;
pub mod ip_lists;
pub mod rate_limit;
pub mod remote;
pub mod response_fields;
