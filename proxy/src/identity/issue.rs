//! A mesh's own authority, and the identities it issues: `keygen`.
//!
//! ECDSA P-256 throughout. Every file is for its owner only (0600), and none is replaced that was not meant.
//! Absent on purpose: intermediate authorities, and renewal by itself: a timer calls `keygen svid --renew`, and
//! the proxy takes what it finds.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;

use super::spiffe_id::{SpiffeId, is_trust_domain};
use super::svid;
use super::validity::{self, Validity};
use crate::durable;
use crate::tls::{chain, read};

/// Clocks that are so far behind believe a new certificate at once.
const SKEW: Duration = Duration::from_secs(60);

/// The authority's files.
pub const CA: [&str; 2] = ["ca.pem", "ca-key.pem"];
/// A workload's files: its chain, its key, and whom it should believe.
pub const SVID: [&str; 3] = ["svid.pem", "svid-key.pem", "bundle.pem"];

/// What is wanted of a workload's identity.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The workload.
    pub id: &'a SpiffeId,
    /// Host names and addresses, for clients that look for them.
    pub hosts: &'a [String],
    /// How long it holds; no longer than its authority.
    pub ttl: Duration,
    /// Whether what is in the folder may be replaced.
    pub renew: bool,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Until when it holds, seconds of Unix time.
    pub until: i64,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum CannotIssue {
    /// No trust domain.
    #[error("{0:?} is no trust domain: lower-case letters, digits, dots, hyphens and underscores")]
    TrustDomain(String),
    /// It would be lost.
    #[error("{} is there already; nothing was made: {advice}", .path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
        /// What to do instead.
        advice: &'static str,
    },
    /// The authority's files are not what they should be.
    #[error("{0}")]
    Authority(String),
    /// The workload is of another domain, or none.
    #[error("{0}")]
    Workload(String),
    /// What the library says.
    #[error("no certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// What the system says.
    #[error("{} cannot be made: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
}

/// Makes an authority for `trust_domain` in `folder`.
///
/// # Errors
/// [`CannotIssue`]; one that is there is never replaced.
pub fn authority(trust_domain: &str, folder: &Path, ttl: Duration) -> Result<Made, CannotIssue> {
    if !is_trust_domain(trust_domain) {
        return Err(CannotIssue::TrustDomain(trust_domain.to_owned()));
    }
    let advice = "what it has signed would be worth nothing without it; give another folder";
    refuse_existing(folder, &CA, advice)?;
    let (mut params, serial) = of_new_serial(ttl, i64::MAX)?;
    let name = format!("{trust_domain} mesh authority {}", hex::encode(serial.get(..4).unwrap_or_default()));
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let texts = [certificate.pem(), key.serialize_pem()];
    Ok(Made { files: write(folder, &CA, &texts)?, until: until(&certificate) })
}

/// Issues what is `wanted` by the authority in the folder `ca` to `folder`.
///
/// # Errors
/// [`CannotIssue`].
pub fn workload(wanted: &Wanted<'_>, ca: &Path, folder: &Path) -> Result<Made, CannotIssue> {
    let authority = Authority::read(ca)?;
    authority.may_vouch_for(wanted.id)?;
    if !wanted.renew {
        refuse_existing(folder, &SVID, "--renew replaces it")?;
    }
    let (mut params, _) = of_new_serial(wanted.ttl, authority.until)?;
    params.subject_alt_names = CertificateParams::new(wanted.hosts.to_vec())?.subject_alt_names;
    params.subject_alt_names.push(uri(wanted.id.as_str())?);
    params.distinguished_name.push(DnType::CommonName, "workload");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority.issuer)?;
    let texts = [certificate.pem(), key.serialize_pem(), authority.pem];
    Ok(Made { files: write(folder, &SVID, &texts)?, until: until(&certificate) })
}

/// An authority that was made before.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    trust_domain: Option<String>,
    until: i64,
}

impl Authority {
    fn read(folder: &Path) -> Result<Self, CannotIssue> {
        let [certificate_at, key_at] = CA.map(|name| folder.join(name));
        let text = |path: &Path| {
            let bytes = read(path).map_err(CannotIssue::Authority)?;
            let not_text = |_| CannotIssue::Authority(format!("{} is not PEM", path.display()));
            String::from_utf8(bytes).map_err(not_text)
        };
        let (pem, key_pem) = (text(&certificate_at)?, text(&key_at)?);
        let all = chain(&certificate_at, pem.as_bytes()).map_err(CannotIssue::Authority)?;
        let bad = |path: &Path, why: String| CannotIssue::Authority(format!("{}: {why}", path.display()));
        let first = all.first().ok_or_else(|| bad(&certificate_at, "holds no certificate".to_owned()))?;
        let trust_domain = svid::authority(first).map_err(|why| bad(&certificate_at, why.to_string()))?;
        let no_key = |_| bad(&key_at, "holds no private key of a kind that is known".to_owned());
        let key = KeyPair::from_pem(&key_pem).map_err(no_key)?;
        if !belong_together(first, &key) {
            let other = format!("does not belong to {}", certificate_at.display());
            return Err(bad(&key_at, other));
        }
        let until = Validity::of(first).map_or(0, |validity| validity.until);
        if until <= validity::now() {
            return Err(bad(&certificate_at, "the authority has expired; make a new one".to_owned()));
        }
        let issuer =
            Issuer::from_ca_cert_der(first, key).map_err(|why| bad(&certificate_at, why.to_string()))?;
        Ok(Self { pem, issuer, trust_domain, until })
    }

    fn may_vouch_for(&self, id: &SpiffeId) -> Result<(), CannotIssue> {
        if id.path().is_empty() {
            return Err(CannotIssue::Workload(format!("{id} names a trust domain and no workload in it")));
        }
        match &self.trust_domain {
            Some(own) if own != id.trust_domain() => {
                Err(CannotIssue::Workload(format!("{id} is not of this authority's trust domain, {own}")))
            }
            _ => Ok(()),
        }
    }
}

fn belong_together(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    let read = x509_parser::certificate::X509Certificate::from_der(certificate);
    read.is_ok_and(|(_, read)| read.public_key().raw == key.subject_public_key_info())
}

/// Not longer than `most`, seconds of Unix time; with a serial number that no one can foretell.
fn of_new_serial(ttl: Duration, most: i64) -> Result<(CertificateParams, [u8; 16]), CannotIssue> {
    let mut serial = [0; 16];
    let unknown = |why| CannotIssue::Authority(format!("no randomness: {why}"));
    getrandom::fill(&mut serial).map_err(unknown)?;
    // Positive, and of full length (RFC 5280 section 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    let (now, mut params) = (OffsetDateTime::now_utc(), CertificateParams::default());
    let most = OffsetDateTime::from_unix_timestamp(most);
    params.not_before = now - SKEW;
    params.not_after = most.map_or(now + ttl, |most| most.min(now + ttl));
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Lightsout");
    Ok((params, serial))
}

fn uri(text: &str) -> Result<SanType, CannotIssue> {
    Ok(SanType::URI(text.try_into()?))
}

fn until(certificate: &Certificate) -> i64 {
    Validity::of(certificate.der()).map_or(0, |validity| validity.until)
}

fn refuse_existing(folder: &Path, names: &[&str], advice: &'static str) -> Result<(), CannotIssue> {
    let there = names.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok());
    there.map_or(Ok(()), |path| Err(CannotIssue::Exists { path, advice }))
}

pub(super) fn write(folder: &Path, names: &[&str], texts: &[String]) -> Result<Vec<PathBuf>, CannotIssue> {
    let failed = |path: &Path, why| CannotIssue::File { path: path.to_owned(), why };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|why| failed(folder, why))?;
    let mut files = Vec::with_capacity(names.len());
    for (name, text) in names.iter().zip(texts) {
        let path = folder.join(name);
        durable::write(&path, text.as_bytes()).map_err(|why| failed(&path, why))?;
        files.push(path);
    }
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DAY: Duration = Duration::from_secs(86_400);

    fn issue(id: &str, ca: &Path, to: &Path, renew: bool) -> Result<Made, CannotIssue> {
        let id = SpiffeId::parse(id).unwrap();
        workload(&Wanted { id: &id, hosts: &["localhost".to_owned()], ttl: DAY * 400, renew }, ca, to)
    }

    #[test]
    fn an_identity_is_vouched_for_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (ca, to) = (dir.path().join("ca"), dir.path().join("a/b"));
        let authority = authority("mesh.local", &ca, DAY).unwrap();
        let made = issue("spiffe://mesh.local/cart", &ca, &to, false).unwrap();
        assert_eq!(made.until, authority.until, "no identity outlives its authority");
        for path in authority.files.iter().chain(&made.files) {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
        let pem = std::fs::read(&made.files[0]).unwrap();
        let leaf = chain(&made.files[0], &pem).unwrap().remove(0);
        assert_eq!(svid::workload(&leaf).unwrap().as_str(), "spiffe://mesh.local/cart");
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(&leaf).unwrap();
        assert!(read.key_usage().unwrap().unwrap().critical);
        assert_eq!(read.public_key().algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1");
    }

    #[test]
    fn nothing_is_replaced_that_was_not_meant() {
        let dir = tempfile::tempdir().unwrap();
        authority("mesh.local", dir.path(), DAY).unwrap();
        let before = std::fs::read(dir.path().join("ca.pem")).unwrap();
        let again = authority("mesh.local", dir.path(), DAY).unwrap_err();
        assert!(again.to_string().contains("ca.pem is there already"), "{again}");
        assert_eq!(std::fs::read(dir.path().join("ca.pem")).unwrap(), before);
        let id = "spiffe://mesh.local/cart";
        issue(id, dir.path(), dir.path(), false).unwrap();
        assert!(issue(id, dir.path(), dir.path(), false).unwrap_err().to_string().contains("--renew"));
        issue(id, dir.path(), dir.path(), true).unwrap();
    }

    #[test]
    fn an_authority_vouches_only_for_its_own_and_only_with_its_own_key() {
        let dir = tempfile::tempdir().unwrap();
        let (ca, other) = (dir.path().join("ca"), dir.path().join("other"));
        authority("mesh.local", &ca, DAY).unwrap();
        authority("mesh.local", &other, DAY).unwrap();
        let refused = |id: &str| issue(id, &ca, &dir.path().join("x"), false).unwrap_err().to_string();
        assert!(refused("spiffe://evil.local/cart").contains("not of this authority's trust domain"));
        assert!(refused("spiffe://mesh.local").contains("no workload"));
        std::fs::copy(other.join("ca-key.pem"), ca.join("ca-key.pem")).unwrap();
        assert!(refused("spiffe://mesh.local/cart").contains("does not belong to"));
        assert!(!dir.path().join("x").exists());
        assert!(matches!(authority("Mesh", dir.path(), DAY), Err(CannotIssue::TrustDomain(_))));
    }
}
