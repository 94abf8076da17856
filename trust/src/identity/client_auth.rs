//! Clients' certificates on a listener: asked for, and looked at in the handshake.
//!
//! In this order: the certificate names exactly one workload; an authority of that workload's trust domain
//! vouches for it, in time, and has not revoked it; the workload is on the list. A session that is resumed
//! brings its certificate along and is judged again, because who was believed then may not be now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, HandshakeKind, RootCertStore,
};
use rustls::{OtherError, SignatureScheme};

use super::allowed::Principal;
use super::peer::PeerIdentity;
use super::revocation;
use super::spiffe_id::SpiffeId;
use super::svid::{self, NoIdentity};
use super::trust_bundle::TrustBundle;
use super::validity::Validity;
use crate::tls::read;

type Verifier = Arc<dyn ClientCertVerifier>;

/// Who must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nobody, but one that is shown must be good.
    Permissive,
    /// Everybody.
    Strict,
}

/// What is asked of clients.
#[derive(Debug, Clone)]
pub struct ClientAuthFiles {
    /// Who must show one.
    pub demand: Demand,
    /// The trust bundle, PEM.
    pub bundle: PathBuf,
    /// Revocation lists.
    pub lists: Option<PathBuf>,
    /// Who may come; empty: whoever is vouched for.
    pub allowed: Vec<Principal>,
}

/// Which file is at fault, and why.
#[derive(Debug, thiserror::Error)]
pub enum BadFiles {
    /// The trust bundle.
    #[error("{0}")]
    Bundle(String),
    /// The revocation lists.
    #[error("{0}")]
    Lists(String),
}

/// See the module.
#[derive(Debug)]
pub struct ClientAuth {
    demand: Demand,
    by_domain: BTreeMap<String, Verifier>,
    any: Option<Verifier>,
    subjects: Vec<DistinguishedName>,
    /// Of the authority that holds longest.
    pub validity: Option<Validity>,
    allowed: Vec<Principal>,
    algorithms: rustls::crypto::WebPkiSupportedAlgorithms,
}

impl ClientAuth {
    /// Reads the files; the bytes are what it was made of.
    ///
    /// # Errors
    /// [`BadFiles`]: unreadable, or not what they should be.
    pub fn load(
        files: &ClientAuthFiles,
        provider: &Arc<CryptoProvider>,
    ) -> Result<(Arc<Self>, Vec<u8>), BadFiles> {
        let pem = read(&files.bundle).map_err(BadFiles::Bundle)?;
        let bundle = TrustBundle::read(&files.bundle, &pem).map_err(BadFiles::Bundle)?;
        let (lists, list_bytes) = match files.lists.as_deref().map(revocation::lists) {
            Some(read) => read.map_err(BadFiles::Lists)?,
            None => (Vec::new(), Vec::new()),
        };
        let verifier = |roots: &Arc<RootCertStore>| verifier(roots, &lists, provider, files);
        let by_domain: Result<_, BadFiles> =
            bundle.domains().map(|(domain, roots)| Ok((domain.to_owned(), verifier(roots)?))).collect();
        let made = Self {
            demand: files.demand,
            by_domain: by_domain?,
            any: bundle.any().map(verifier).transpose()?,
            subjects: bundle.subjects().to_vec(),
            validity: bundle.validity,
            allowed: files.allowed.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let said = format!("{:?} {:?}", files.demand, files.allowed).into_bytes();
        Ok((Arc::new(made), [said, pem, list_bytes].concat()))
    }

    /// Who is at the other end of a connection that has shaken hands; `None`: nobody says.
    ///
    /// # Errors
    /// A resumed session's certificate would not be believed now.
    pub fn identify(
        &self,
        connection: &ServerConnection,
        own: Option<&SpiffeId>,
    ) -> Result<Option<Arc<PeerIdentity>>, Error> {
        let Some((leaf, rest)) = connection.peer_certificates().and_then(|all| all.split_first()) else {
            return if self.demand == Demand::Strict {
                Err(Error::NoCertificatesPresented)
            } else {
                Ok(None)
            };
        };
        let id = if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.judge(leaf, rest, UnixTime::now())?
        } else {
            svid::workload(leaf).map_err(nobody)?
        };
        Ok(PeerIdentity::new(id, leaf, own))
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<SpiffeId, Error> {
        let id = svid::workload(leaf).map_err(nobody)?;
        let verifier = self.by_domain.get(id.trust_domain()).or(self.any.as_ref());
        let verifier = verifier.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier.verify_client_cert(leaf, rest, now)?;
        if self.allowed.is_empty() || self.allowed.iter().any(|one| one.means(&id)) {
            return Ok(id);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

fn nobody(why: NoIdentity) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// What an authority without a list in the file has issued is not known to be revoked, and so believed:
/// else the first list would refuse the other authorities' workloads.
fn verifier(
    roots: &Arc<RootCertStore>,
    lists: &[CertificateRevocationListDer<'static>],
    provider: &Arc<CryptoProvider>,
    files: &ClientAuthFiles,
) -> Result<Verifier, BadFiles> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let builder = builder.with_crls(lists.iter().cloned()).allow_unknown_revocation_status();
    builder.build().map_err(|why| {
        let path: &Path = files.lists.as_deref().unwrap_or(&files.bundle);
        let text = format!("{}: {why}", path.display());
        if files.lists.is_some() { BadFiles::Lists(text) } else { BadFiles::Bundle(text) }
    })
}

impl ClientCertVerifier for ClientAuth {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Strict
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(leaf, rest, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
