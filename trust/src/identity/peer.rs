//! Who is at the other end of a connection, once its certificate was believed.

use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::spiffe_id::SpiffeId;

/// A client's identity: made once a connection, shared by its requests, among whose extensions it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The id.
    pub id: SpiffeId,
    /// The id as endpoints are told it.
    pub header: HeaderValue,
    /// The same as Envoy tells it (`X-Forwarded-Client-Cert`).
    pub forwarded: HeaderValue,
}

impl PeerIdentity {
    /// The holder of `certificate`, as seen by the holder of `own`, if that is anybody.
    #[must_use]
    pub fn new(id: SpiffeId, certificate: &CertificateDer<'_>, own: Option<&SpiffeId>) -> Option<Arc<Self>> {
        let by = own.map_or_else(String::new, |own| format!("By={own};"));
        let hash = hex::encode(Sha256::digest(certificate));
        let forwarded = HeaderValue::from_str(&format!("{by}Hash={hash};URI={id}")).ok()?;
        let header = HeaderValue::from_str(id.as_str()).ok()?;
        Some(Arc::new(Self { id, header, forwarded }))
    }

    /// As telemetry calls a caller: what follows the trust domain.
    #[must_use]
    pub fn caller(&self) -> &str {
        self.id.path().trim_start_matches('/')
    }
}
