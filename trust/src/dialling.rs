//! The dialling end of mutual TLS: shows an identity, and believes none but those that are named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::identity::allowed::Principal;
use crate::identity::client_auth::BadFiles;
use crate::identity::server_identity::ServerIdentity;
use crate::identity::trust_bundle::TrustBundle;
use crate::suites;
use crate::tls::{BadPair, chain, private_key, read};

/// What the dialling end shows of itself.
pub struct Own {
    /// The certificate, and those that vouch for it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Own {
    /// Reads a chain and its key, both PEM; `digest` is told their content.
    ///
    /// # Errors
    /// [`BadPair`]: unreadable, empty, or of the wrong kind.
    pub fn read(chain_at: &Path, key_at: &Path, digest: &mut Sha256) -> Result<Self, BadPair> {
        let pem = read(chain_at).map_err(BadPair::Certificate)?;
        let key_pem = read(key_at).map_err(BadPair::Key)?;
        digest.update(&pem);
        digest.update(&key_pem);
        let chain = chain(chain_at, &pem).map_err(BadPair::Certificate)?;
        Ok(Self { chain, key: private_key(key_at, &key_pem).map_err(BadPair::Key)? })
    }
}

/// Who dials whom.
#[derive(Debug, Clone)]
pub struct Parties {
    /// The chain that is shown.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whose word is believed: a trust bundle, PEM.
    pub bundle: PathBuf,
    /// Who may answer.
    pub expected: Vec<Principal>,
}

impl Parties {
    /// What handshakes are made with, by TLS 1.3 alone, and a digest of what it was read from.
    ///
    /// # Errors
    /// [`BadPair`]: which file is at fault, and why.
    pub fn load(&self) -> Result<(ClientConfig, [u8; 32]), BadPair> {
        let mut digest = Sha256::new();
        let own = Own::read(&self.certificate, &self.key, &mut digest)?;
        let unbelieved = |why| BadPair::Clients(BadFiles::Bundle(why));
        let pem = read(&self.bundle).map_err(unbelieved)?;
        digest.update(&pem);
        let bundle = TrustBundle::read(&self.bundle, &pem).map_err(unbelieved)?;
        let provider = Arc::new(suites::provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier = ServerIdentity::new(bundle, self.expected.clone(), Vec::new(), algorithms);
        let unusable = |why: rustls::Error| {
            BadPair::Key(format!("{} does not go with its certificate: {why}", self.key.display()))
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let config = builder.with_client_auth_cert(own.chain, own.key).map_err(unusable)?;
        Ok((config, digest.finalize().into()))
    }
}
