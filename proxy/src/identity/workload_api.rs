//! Identities from a SPIFFE agent, over the Workload API (X509-SVID profile) on its Unix socket.
//!
//! What the agent gives is looked at as if a stranger had written it, then written as the three files that
//! `keygen svid` writes too: the key before the chain, so that a proxy that watches them never serves a new chain
//! with an old key; a pair that does not belong together it does not take. Bundles of other trust domains are
//! left out: an authority that names no domain would vouch for any.

use std::path::PathBuf;
use std::time::Duration;

use protocol::workload::SECURITY_KEY;
use protocol::workload::api::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use protocol::workload::api::{X509svid, X509svidRequest, X509svidResponse};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::SpiffeId;
use super::issue::{self, CannotIssue, Made, SVID};
use super::svid;
use super::validity::{self, Validity};

/// To reach the agent, and for its first answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer.
const MAX_BYTES: usize = 1 << 20;
/// Between two calls to an agent that is away: from, to.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Whom to ask, for which identity, and where to put it.
#[derive(Debug, Clone)]
pub struct WorkloadApi {
    /// `unix:PATH`, as in `SPIFFE_ENDPOINT_SOCKET`.
    pub socket: String,
    /// Which one; the first where absent.
    pub id: Option<SpiffeId>,
    /// Where the files go.
    pub folder: PathBuf,
}

/// Takes one identity.
///
/// # Errors
/// [`CannotIssue::Authority`] with what the agent, or what it gave, is wrong about; nothing is written then.
pub async fn fetch(from: &WorkloadApi) -> Result<Made, CannotIssue> {
    let first = async { next(&mut open(from).await?).await };
    let response = tokio::time::timeout(PATIENCE, first).await;
    let response = response.map_err(|_| fault(from, "it did not answer in time"))??;
    write(from, &response)
}

/// Writes each new identity for as long as this process lives; an agent that is away is asked again.
pub async fn follow(from: &WorkloadApi) -> std::convert::Infallible {
    let mut pause = PAUSES.0;
    loop {
        let ended = follow_once(from, &mut pause).await;
        tracing::warn!("{ended}; asking again in {}s", pause.as_secs());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn follow_once(from: &WorkloadApi, pause: &mut Duration) -> CannotIssue {
    let mut stream = match open(from).await {
        Ok(stream) => stream,
        Err(why) => return why,
    };
    loop {
        let written = next(&mut stream).await.and_then(|response| write(from, &response));
        match written {
            Ok(made) => {
                *pause = PAUSES.0;
                let left = made.until - validity::now();
                tracing::info!(folder = %from.folder.display(), left_s = left, "took a new identity");
            }
            Err(why) => return why,
        }
    }
}

async fn open(from: &WorkloadApi) -> Result<Streaming<X509svidResponse>, CannotIssue> {
    if !from.socket.starts_with("unix:") {
        return Err(fault(from, "the agent is spoken to over unix:PATH alone"));
    }
    let endpoint = Endpoint::from_shared(from.socket.clone()).map_err(|why| fault(from, &why.to_string()))?;
    let channel = endpoint.connect_timeout(PATIENCE).connect().await;
    let channel = channel.map_err(|why| fault(from, &format!("it cannot be reached: {}", root(&why))))?;
    let mut client = SpiffeWorkloadApiClient::new(channel).max_decoding_message_size(MAX_BYTES);
    let mut request = Request::new(X509svidRequest {});
    request.metadata_mut().insert(SECURITY_KEY, MetadataValue::from_static("true"));
    let answer = client.fetch_x509svid(request).await;
    answer.map(tonic::Response::into_inner).map_err(|why| fault_of(&why))
}

async fn next(stream: &mut Streaming<X509svidResponse>) -> Result<X509svidResponse, CannotIssue> {
    let message = stream.message().await.map_err(|why| fault_of(&why))?;
    message.ok_or_else(|| CannotIssue::Authority("the agent ended the stream".to_owned()))
}

fn write(from: &WorkloadApi, response: &X509svidResponse) -> Result<Made, CannotIssue> {
    let wanted = |svid: &&X509svid| from.id.as_ref().is_none_or(|id| id.as_str() == svid.spiffe_id);
    let none = || fault(from, "it has no such identity for this workload");
    let svid = response.svids.iter().find(wanted).ok_or_else(none)?;
    let bad = |why: &str| fault(from, &format!("what it gave cannot be used: {why}"));
    let chain = split(&svid.x509_svid).ok_or_else(|| bad("the chain is no DER"))?;
    let bundle = split(&svid.bundle).ok_or_else(|| bad("the bundle is no DER"))?;
    let leaf = chain.first().ok_or_else(|| bad("there is no certificate"))?;
    let named = svid::workload(leaf).map_err(|why| bad(&why.to_string()))?;
    if named.as_str() != svid.spiffe_id {
        return Err(bad("the certificate names another workload than the agent says"));
    }
    if !is_key_of(&svid.x509_svid_key, leaf) {
        return Err(bad("the key does not belong to the certificate"));
    }
    if bundle.is_empty() {
        return Err(bad("the bundle is empty"));
    }
    let key = pem::encode(&pem::Pem::new("PRIVATE KEY", svid.x509_svid_key.clone()));
    // The key goes first; the names' order is the usual one.
    let [chain_name, key_name, bundle_name] = SVID;
    let names = [key_name, bundle_name, chain_name];
    let files = issue::write(&from.folder, &names, &[key, pem_of(&bundle), pem_of(&chain)])?;
    Ok(Made { files, until: Validity::of(leaf).map_or(0, |validity| validity.until) })
}

/// Certificates that stand one after the other.
fn split(mut der: &[u8]) -> Option<Vec<CertificateDer<'_>>> {
    let mut all = Vec::new();
    while !der.is_empty() {
        let (rest, _) = X509Certificate::from_der(der).ok()?;
        let (one, _) = der.split_at_checked(der.len().checked_sub(rest.len())?)?;
        all.push(CertificateDer::from(one));
        der = rest;
    }
    Some(all)
}

fn is_key_of(key: &[u8], leaf: &CertificateDer<'_>) -> bool {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let Ok(key) = KeyPair::try_from(&key) else { return false };
    let read = X509Certificate::from_der(leaf);
    read.is_ok_and(|(_, read)| read.public_key().raw == key.subject_public_key_info())
}

fn pem_of(all: &[CertificateDer<'_>]) -> String {
    all.iter().map(|one| pem::encode(&pem::Pem::new("CERTIFICATE", one.to_vec()))).collect()
}

fn fault(from: &WorkloadApi, why: &str) -> CannotIssue {
    CannotIssue::Authority(format!("the agent at {}: {why}", from.socket))
}

fn fault_of(status: &tonic::Status) -> CannotIssue {
    let words: String = status.message().chars().filter(|c| !c.is_control()).take(200).collect();
    CannotIssue::Authority(format!("the agent refuses: {}: {words}", status.code()))
}

fn root(why: &tonic::transport::Error) -> String {
    let mut source: &dyn std::error::Error = why;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    source.to_string()
}
