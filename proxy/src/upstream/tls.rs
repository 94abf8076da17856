//! TLS to endpoints: whom to trust, what to ask for, and the handshake.
//!
//! One [`ClientConfig`] a service and configuration, shared by all workers, so that a session begun by one
//! is resumed by any. A reload reads the files again, and sessions of before are not resumed after it. Endpoints are
//! known by a host name, or by their SPIFFE id; this proxy shows a certificate of its own where it has one.

use std::fmt;
use std::io::{Error, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{ClientConfig, WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ConfigBuilder, RootCertStore, version};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trust::dialling::Own;
use trust::suites;

use super::unverified::Unverified;
use crate::identity::allowed::Principal;
use crate::identity::revocation;
use crate::identity::server_identity::ServerIdentity;
use crate::identity::trust_bundle::TrustBundle;
use crate::identity::validity::Validity;
use crate::settings::Protocol;
use crate::tls::{BadPair, MinVersion, chain, read};

/// Whose certificates are believed.
#[derive(Debug)]
pub enum Trust<'a> {
    /// Those that the system believes.
    System,
    /// Those that a file's certificates vouch for.
    File(&'a Path),
    /// Anyone's.
    Anyone,
}

/// Whom an endpoint must be, and who asks.
#[derive(Debug, Default)]
pub struct Parties<'a> {
    /// The host name that is asked for; absent: the endpoint's address.
    pub name: Option<&'a str>,
    /// The workloads that may answer, instead of whoever has the name; empty: the name counts.
    pub expected: Vec<Principal>,
    /// The file with what was revoked; absent: nothing is known to be.
    pub lists: Option<&'a Path>,
    /// The chain and the key that are shown; absent: none.
    pub own: Option<(&'a Path, &'a Path)>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum BadTrust {
    /// The trusted certificates.
    #[error("{0}")]
    Certificates(String),
    /// The revocation lists.
    #[error("{0}")]
    Lists(String),
    /// The name.
    #[error("{0:?} is neither a host name nor an IP address")]
    Name(String),
    /// What this proxy shows.
    #[error(transparent)]
    Own(#[from] BadPair),
}

/// How connections to a service's endpoints are secured.
#[derive(Clone)]
pub struct Origination {
    /// The file with whom to trust, to be watched.
    pub trusted: Option<PathBuf>,
    /// The file with what was revoked, to be watched.
    pub lists: Option<PathBuf>,
    /// The chain and the key that are shown, to be watched.
    pub own: Option<(PathBuf, PathBuf)>,
    /// How long what is shown holds.
    pub validity: Option<Validity>,
    /// How long whom to trust holds, where a file says whom.
    pub trusted_validity: Option<Validity>,
    connector: TlsConnector,
    /// Absent: the endpoint's own.
    name: Option<ServerName<'static>>,
    /// SHA-256 over all of it.
    digest: [u8; 32],
}

/// The same settings with the same trusted certificates are the same, whenever they were read.
impl PartialEq for Origination {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Origination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origination").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Origination {
    /// Reads what is needed.
    ///
    /// # Errors
    /// [`BadTrust`]: no certificates to trust, or a name that is none.
    pub fn load(
        trust: &Trust<'_>,
        parties: Parties<'_>,
        least: MinVersion,
        protocol: Protocol,
    ) -> Result<Self, BadTrust> {
        let given = parties.name.map(|name| ServerName::try_from(name.to_owned()));
        let name =
            given.transpose().map_err(|_| BadTrust::Name(parties.name.unwrap_or_default().to_owned()))?;
        let said = format!("{trust:?} {name:?} {least:?} {protocol:?} {:?}", parties.expected);
        let mut digest = Sha256::new().chain_update(said);
        let revoked = (parties.lists, &mut digest);
        let builder = believing(trust, parties.expected, revoked, least)?;
        let own = parties.own.map(|(chain, key)| Own::read(chain, key, &mut digest)).transpose()?;
        let validity = own.as_ref().and_then(|own| own.chain.first()).and_then(Validity::of);
        let mut config = match own {
            Some(Own { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(|why| {
                let text = format!("the key does not go with the certificate: {why}");
                BadTrust::Own(BadPair::Key(text))
            })?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
            Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let connector = TlsConnector::from(Arc::new(config));
        let trusted = if let Trust::File(path) = trust { Some((*path).to_owned()) } else { None };
        let authorities = trusted.as_ref().and_then(|path| chain(path, &read(path).ok()?).ok());
        let trusted_validity = authorities.and_then(|all| Validity::longest(&all));
        let own = parties.own.map(|(chain, key)| (chain.to_owned(), key.to_owned()));
        let (lists, digest) = (parties.lists.map(Path::to_owned), digest.finalize().into());
        Ok(Self { trusted, lists, own, validity, trusted_validity, connector, name, digest })
    }

    /// Makes the handshake; `host` is the endpoint's, whose name is asked for unless the settings say another.
    ///
    /// # Errors
    /// The endpoint's certificate is not for that name or from nobody who is trusted, it shares no version
    /// or protocol with us, or it breaks off.
    pub async fn connect(&self, stream: TcpStream, host: &str) -> IoResult<TlsStream<TcpStream>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(Error::other)?,
        };
        self.connector.connect(name, stream).await
    }
}

type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

/// Whom to believe: nobody in particular, workloads by their id, or hosts by their name.
fn believing(
    trust: &Trust<'_>,
    expected: Vec<Principal>,
    (lists, digest): (Option<&Path>, &mut Sha256),
    least: MinVersion,
) -> Result<Builder, BadTrust> {
    let unusable = |why: rustls::Error| BadTrust::Certificates(why.to_string());
    let provider = Arc::new(suites::provider());
    let algorithms = provider.signature_verification_algorithms;
    let lists = lists.map(|path| revocation::lists(path).map_err(BadTrust::Lists)).transpose()?;
    let (lists, bytes) = lists.unwrap_or_default();
    digest.update(bytes);
    let versions = match least {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12][..],
        MinVersion::Tls13 => &[&version::TLS13][..],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
    let builder = builder.map_err(unusable)?;
    Ok(match trust {
        Trust::Anyone => {
            tracing::warn!("endpoints' certificates are not verified: anyone on the way may answer");
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(algorithms)))
        }
        Trust::File(path) if !expected.is_empty() => {
            let pem = read(path).map_err(BadTrust::Certificates)?;
            digest.update(&pem);
            let bundle = TrustBundle::read(path, &pem).map_err(BadTrust::Certificates)?;
            let lists = revocation::parsed(&lists).map_err(|why| BadTrust::Lists(why.to_string()))?;
            let verifier = ServerIdentity::new(bundle, expected, lists, algorithms);
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
        _ => {
            let roots = Arc::new(roots(trust, digest)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
            let verifier = verifier.with_crls(lists).allow_unknown_revocation_status().build();
            builder.with_webpki_verifier(verifier.map_err(|why| BadTrust::Lists(why.to_string()))?)
        }
    })
}

fn roots(trust: &Trust<'_>, digest: &mut Sha256) -> Result<RootCertStore, BadTrust> {
    let mut roots = RootCertStore::empty();
    if let Trust::File(path) = trust {
        let pem = read(path).map_err(BadTrust::Certificates)?;
        digest.update(&pem);
        for certificate in chain(path, &pem).map_err(BadTrust::Certificates)? {
            let unfit = |why| BadTrust::Certificates(format!("{}: {why}", path.display()));
            roots.add(certificate).map_err(unfit)?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    found.certs.iter().for_each(|certificate| digest.update(certificate));
    let (taken, _unfit) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let message = "the system has no certificates to trust: say which in ca_path";
        return Err(BadTrust::Certificates(message.to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(pem: &str, name: Option<&str>) -> Result<Origination, BadTrust> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        let parties = Parties { name, ..Parties::default() };
        Origination::load(&Trust::File(file.path()), parties, MinVersion::Tls12, Protocol::Auto)
    }

    #[test]
    fn what_cannot_be_used_is_said_and_nothing_is_trusted_instead() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        assert!(of(&made.cert.pem(), Some("cart.internal")).is_ok());
        assert!(matches!(of(&made.cert.pem(), Some("no name")), Err(BadTrust::Name(_))));
        assert!(matches!(of("", None), Err(BadTrust::Certificates(why)) if why.contains("no certificate")));
    }
}
