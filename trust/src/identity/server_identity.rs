//! Endpoints that are known by their SPIFFE id instead of a host name.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use webpki::{CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy};

use super::allowed::Principal;
use super::spiffe_id::SpiffeId;
use super::svid;
use super::trust_bundle::TrustBundle;

/// Believes certificates of `expected` that the bundle vouches for, whatever the host is called.
#[derive(Debug)]
pub struct ServerIdentity {
    bundle: TrustBundle,
    expected: Vec<Principal>,
    lists: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Another workload answered.
#[derive(thiserror::Error)]
#[error("the endpoint is {0}, which is not expected")]
struct Unexpected(SpiffeId);

/// The library's own messages show errors of others so.
impl fmt::Debug for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ServerIdentity {
    /// Who may answer, who vouches for them, and what was revoked of that.
    #[must_use]
    pub fn new(
        bundle: TrustBundle,
        expected: Vec<Principal>,
        lists: Vec<CertRevocationList<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Arc<Self> {
        Arc::new(Self { bundle, expected, lists, algorithms })
    }

    /// An error where a list names a certificate of the chain. Of authorities without a list nothing is known to be
    /// revoked, as towards clients ([`super::client_auth`]).
    fn check_revocation(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<(), Error> {
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let Ok(asked) = RevocationOptionsBuilder::new(&lists) else { return Ok(()) };
        let asked = asked.with_status_policy(UnknownStatusPolicy::Allow).build();
        let leaf = EndEntityCert::try_from(leaf).map_err(other)?;
        let (usage, algorithms) = (KeyUsage::server_auth(), self.algorithms.all);
        let chain = leaf.verify_for_usage(algorithms, &roots.roots, rest, now, usage, Some(asked), None);
        chain.map(drop).map_err(|why| match why {
            webpki::Error::CertRevoked => Error::InvalidCertificate(CertificateError::Revoked),
            why => other(why),
        })
    }
}

fn other(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

impl ServerCertVerifier for ServerIdentity {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let id = svid::workload(leaf).map_err(other)?;
        let roots = self.bundle.roots_of(id.trust_domain());
        let roots = roots.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, rest, now, self.algorithms.all)?;
        self.check_revocation(leaf, rest, roots, now)?;
        if self.expected.iter().any(|one| one.means(&id)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(other(Unexpected(id)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
