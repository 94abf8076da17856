//! A mesh's authority and identities as a test wants them, also those that no honest authority would issue.

use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
    /// The same.
    pub der: CertificateDer<'static>,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// The same.
    pub der: CertificateDer<'static>,
    /// The key.
    pub key_pem: String,
    /// Its number.
    pub serial: SerialNumber,
}

impl Authority {
    /// An authority that vouches for `trust_domain`, or for any.
    ///
    /// # Errors
    /// When the library cannot make it.
    pub fn new(trust_domain: Option<&str>) -> Result<Self> {
        let mut params = CertificateParams::default();
        let key = KeyPair::generate()?;
        let name = format!("authority {}", &key.public_key_pem()[60..80]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let uri = trust_domain.map(|domain| format!("spiffe://{domain}"));
        params.subject_alt_names =
            uri.map(|uri| Ok(SanType::URI(uri.try_into()?))).into_iter().collect::<Result<_>>()?;
        let made = params.self_signed(&key)?;
        let (pem, der) = (made.pem(), made.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// An identity of `uri`, for `localhost` and 127.0.0.1 too.
    ///
    /// # Errors
    /// When the library cannot make it.
    pub fn issue(&self, uri: &str) -> Result<Issued> {
        self.issue_odd(&[uri], |_| {})
    }

    /// A certificate with these URIs, changed before it is signed.
    ///
    /// # Errors
    /// When the library cannot make it.
    pub fn issue_odd(&self, uris: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Result<Issued> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let serial = SerialNumber::from_slice(&params.key_identifier(&key)[..8]);
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let made = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { pem: made.pem(), der: made.der().clone(), key_pem: key.serialize_pem(), serial })
    }

    /// A list of what was revoked, PEM.
    ///
    /// # Errors
    /// When the library cannot make it.
    pub fn revoke(&self, all: &[&Issued]) -> Result<String> {
        let now = rcgen::date_time_ymd(2020, 1, 1);
        let revoked = |issued: &&Issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: all.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

impl Issued {
    /// Its key.
    ///
    /// # Panics
    /// Never: the library has just written it.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        use rustls::pki_types::pem::PemObject;
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap_or_else(|why| unreachable!("{why}"))
    }

    /// Writes `NAME.pem` and `NAME-key.pem`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, dir: &Path, name: &str) -> Result<()> {
        std::fs::write(dir.join(format!("{name}-key.pem")), &self.key_pem)?;
        Ok(std::fs::write(dir.join(format!("{name}.pem")), &self.pem)?)
    }
}
