//! Endpoints: which one, whether it may be asked, and the connections to it.

pub mod admission;
pub mod balancer;
pub mod breaker;
pub mod capture;
mod choice;
pub mod connector;
pub mod endpoint_state;
pub mod endpoint_view;
pub mod ewma;
pub mod group;
pub mod health_check;
pub mod intake;
pub mod outlier;
pub mod pace;
pub mod pool;
pub mod preference;
mod probe;
pub mod sessions;
pub mod slow_start;
pub mod standing;
pub mod tls;
mod unverified;
pub mod upload;
pub mod weather;
pub mod zone;
