//! Who is at the other end, and whether they may come: what the control surfaces of proxy and brain share.
//!
//! Knows neither of them, and of HTTP no more than names of hosts and how a listener is served. What a role may do is the brain's, what an action is the protocol's.

pub mod dialling;
pub mod hosts;
pub mod identity;
pub mod lockout;
pub mod quiet;
pub mod secret;
pub mod serving;
pub mod suites;
pub mod tls;
