//! Identities as the proxy gets, issues and watches them; what they are is told in [`trust::identity`].
//!
//! They stand in files, which are watched: `keygen svid` writes them, or `keygen fetch` from an agent's
//! Workload API.

pub mod expiry;
pub mod issue;
pub mod refusal;
pub mod workload_api;

pub use trust::identity::{PeerIdentity, SpiffeId, allowed, client_auth, server_identity, spiffe_id, svid};
pub use trust::identity::{revocation, trust_bundle, validity};
