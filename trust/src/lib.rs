//! Who is at the other end, and whether they may come: what the control surfaces of proxy and brain share.
//!
//! Knows neither of them, and no HTTP beyond names of hosts. What a role may do is the brain's, what an action is the protocol's.

pub mod hosts;
pub mod identity;
pub mod lockout;
pub mod secret;
pub mod tls;
