//! Who is at the other end, and whether they may come: what the control surfaces of proxy and brain share.
//!
//! Knows neither of them. What a role may do is the brain's, what an action is the protocol's.

pub mod hosts;
pub mod lockout;
pub mod secret;
