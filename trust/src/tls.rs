//! TLS on a listener: the certificate and key read into what handshakes are made with.
//!
//! One [`ServerConfig`] is made for each configuration that is put in force, so that a new certificate is a
//! reload like any other: made whole, then swapped; a bad pair keeps the last good one. TLS 1.2 and 1.3
//! with rustls' suites, which are Mozilla's "intermediate" ones without CBC and RSA key exchange.
//! Clients' certificates are [`crate::identity::client_auth`]'s. Absent on purpose: any key material in messages.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};
use rustls::{SupportedProtocolVersion, version};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::identity::client_auth::{BadFiles, ClientAuth, ClientAuthFiles};
use crate::identity::validity::Validity;
use crate::identity::{PeerIdentity, SpiffeId, svid};
use crate::suites;

/// What is spoken inside, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Session tickets a client is given: one resumption each. Two, as is rustls' custom, would be signed
/// and sent for nothing by most.
const TICKETS: usize = 1;
/// One for the life of the process: a reload does not make every client shake hands in full again.
static TICKETER: LazyLock<Option<Arc<dyn ProducesTickets>>> =
    LazyLock::new(|| aws_lc_rs::Ticketer::new().ok());
/// The largest PEM file that is read.
pub const MAX_PEM_BYTES: usize = 1 << 20;

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// How connections are taken in.
#[derive(Clone)]
pub struct Termination {
    /// The chain's file, to be watched.
    pub certificate: PathBuf,
    /// The key's file, to be watched.
    pub key: PathBuf,
    /// What is asked of clients; absent: nothing.
    pub client_auth: Option<ClientAuthFiles>,
    /// How long the certificate holds.
    pub validity: Option<Validity>,
    clients: Option<Arc<ClientAuth>>,
    /// Who shows the certificate, where it says so.
    own: Option<SpiffeId>,
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    /// SHA-256 over all files and what is asked of clients.
    digest: [u8; 32],
}

/// The same files with the same content are the same certificate, whenever they were read.
impl PartialEq for Termination {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.handshake_timeout == other.handshake_timeout
    }
}

impl std::fmt::Debug for Termination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Termination").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Which file is at fault, and why.
#[derive(Debug, thiserror::Error)]
pub enum BadPair {
    /// The chain.
    #[error("{0}")]
    Certificate(String),
    /// The key.
    #[error("{0}")]
    Key(String),
    /// What clients are judged by.
    #[error(transparent)]
    Clients(#[from] BadFiles),
}

impl Termination {
    /// Reads a chain and its key, both PEM.
    ///
    /// # Errors
    /// [`BadPair`]: unreadable, empty, of the wrong kind, or not belonging together.
    pub fn load(
        certificate: &Path,
        key: &Path,
        least: MinVersion,
        handshake_timeout: Duration,
        client_auth: Option<ClientAuthFiles>,
    ) -> Result<Self, BadPair> {
        let pem = read(certificate).map_err(BadPair::Certificate)?;
        let key_pem = read(key).map_err(BadPair::Key)?;
        let chain = chain(certificate, &pem).map_err(BadPair::Certificate)?;
        let first = chain.first();
        let (own, validity) = (first.and_then(|one| svid::workload(one).ok()), first.and_then(Validity::of));
        let private = private_key(key, &key_pem).map_err(BadPair::Key)?;
        let provider = Arc::new(suites::provider());
        let clients = client_auth.as_ref().map(|files| ClientAuth::load(files, &provider)).transpose()?;
        let (clients, judged_by) = clients.unzip();
        let digest = Sha256::new().chain_update(&pem).chain_update(&key_pem);
        let digest = digest.chain_update(judged_by.unwrap_or_default()).finalize().into();
        let versions: &[&SupportedProtocolVersion] = match least {
            MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
            MinVersion::Tls13 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let unusable = |why: rustls::Error| {
            BadPair::Key(format!("{} does not go with {}: {why}", key.display(), certificate.display()))
        };
        let builder = builder.map_err(unusable)?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, private).map_err(unusable)?;
        suites::prefer_ours(&mut config);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.send_tls13_tickets = TICKETS;
        // Stateless: no table of sessions to fill and to lock, and every worker takes every ticket.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(ticketer) = &*TICKETER {
            config.ticketer = Arc::clone(ticketer);
        }
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            certificate,
            key,
            client_auth,
            validity,
            clients,
            own,
            acceptor,
            handshake_timeout,
            digest,
        })
    }

    /// The same for a listener that speaks HTTP/1.1 alone.
    #[must_use]
    pub fn http1_only(mut self) -> Self {
        let mut config = ServerConfig::clone(self.acceptor.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.acceptor = TlsAcceptor::from(Arc::new(config));
        self
    }

    /// Until when clients' authorities hold.
    #[must_use]
    pub fn clients_validity(&self) -> Option<Validity> {
        self.clients.as_ref().and_then(|clients| clients.validity)
    }

    /// Makes the handshake, within its time, and says who the client is where it says so.
    ///
    /// # Errors
    /// What the peer sent is no handshake, it shares no version with us, its certificate is not believed, it
    /// left, or it took too long.
    pub async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Arc<PeerIdentity>>)> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
        let stream = timeout(self.handshake_timeout, self.acceptor.accept(stream)).await.map_err(late)??;
        let identified =
            self.clients.as_ref().map(|clients| clients.identify(stream.get_ref().1, self.own.as_ref()));
        let peer = identified.transpose().map_err(io::Error::other)?.flatten();
        Ok((stream, peer))
    }
}

/// The certificates of a PEM text; `path` is what errors call it.
///
/// # Errors
/// It is no PEM, or holds none.
pub fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|why| format!("{} is not PEM: {why}", path.display()))?;
    if all.is_empty() {
        return Err(format!("{} holds no certificate (BEGIN CERTIFICATE)", path.display()));
    }
    Ok(all)
}

/// The private key of a PEM text; `path` is what errors call it.
///
/// # Errors
/// It holds none.
pub fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|why| format!("{} holds no private key (BEGIN PRIVATE KEY): {why}", path.display()))
}

/// The content of a file of certificates or keys, bounded; or of what else [`crate::secret`] knows.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let unreadable = |why: io::Error| format!("{} cannot be read: {why}", path.display());
    if let Some(found) = crate::secret::elsewhere(path) {
        return found.map(|secret| secret.to_vec()).map_err(|why| format!("{}: {why}", path.display()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_PEM_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_PEM_BYTES {
        return Err(format!("{} is larger than {MAX_PEM_BYTES} bytes", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn load(certificate: &str, key: &str) -> Result<Termination, BadPair> {
        let dir = tempfile::tempdir().unwrap();
        let (at, of) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&at, certificate).unwrap();
        std::fs::write(&of, key).unwrap();
        Termination::load(&at, &of, MinVersion::Tls12, Duration::from_secs(1), None)
    }

    #[test]
    fn a_pair_that_belongs_together_is_taken() {
        let (certificate, key) = pair();
        assert!(load(&certificate, &key).is_ok());
    }

    #[test]
    fn each_way_of_being_wrong_names_its_file() {
        let ((certificate, key), (_, of_another)) = (pair(), pair());
        let why = |certificate: &str, key: &str| load(certificate, key).unwrap_err();
        let foreign = why(&certificate, &of_another);
        assert!(matches!(&foreign, BadPair::Key(text) if text.contains("does not go with")), "{foreign}");
        assert!(matches!(why("", &key), BadPair::Certificate(text) if text.contains("holds no certificate")));
        assert!(matches!(why(&key, &key), BadPair::Certificate(_)));
        let empty = why(&certificate, "");
        assert!(matches!(&empty, BadPair::Key(text) if text.contains("no private key")), "{empty}");
        assert!(!empty.to_string().contains("PRIVATE KEY-----"), "no key material in messages");
    }
}
