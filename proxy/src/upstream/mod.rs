//! Endpoints: which one, whether it may be asked, and the connections to it.

pub mod breaker;
pub mod endpoint_state;
pub mod health_check;
