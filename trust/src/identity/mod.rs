//! Who a workload is: SPIFFE ids, the certificates that carry them (X509-SVIDs), and who believes them.
//!
//! Nothing here knows HTTP. Absent on purpose: JWT-SVIDs, and bundles of other trust domains.

pub mod allowed;
pub mod client_auth;
pub mod peer;
pub mod revocation;
pub mod server_identity;
pub mod spiffe_id;
pub mod svid;
pub mod trust_bundle;
pub mod validity;

pub use peer::PeerIdentity;
pub use spiffe_id::SpiffeId;
