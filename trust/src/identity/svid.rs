//! The id that a certificate carries, by the X509-SVID standard: exactly one URI among its subject
//! alternative names, and a leaf that can sign nothing.
//!
//! Whether anyone vouches for the certificate is not looked at here.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::spiffe_id::{BadId, SpiffeId};

/// Why a certificate says of nobody who it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// No certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// No URI.
    #[error("the certificate names no SPIFFE id")]
    None,
    /// More than one URI (X509-SVID section 2).
    #[error("the certificate names {0} URIs: an identity is exactly one")]
    Several(usize),
    /// The URI is no SPIFFE id.
    #[error("the certificate's URI is no SPIFFE id: {0}")]
    Bad(#[from] BadId),
    /// It may sign others (X509-SVID section 5.2).
    #[error("the certificate may sign others: it identifies an authority and no workload")]
    Authority,
    /// It names a trust domain and no workload (X509-SVID section 3.1).
    #[error("the certificate names a trust domain and no workload in it")]
    NoPath,
}

/// The workload that `certificate` names.
///
/// # Errors
/// [`NoIdentity`]: the first rule that it breaks.
pub fn workload(certificate: &CertificateDer<'_>) -> Result<SpiffeId, NoIdentity> {
    let read = read(certificate)?;
    let key_usage = read.key_usage().map_err(|_| NoIdentity::Unreadable)?;
    let signs = key_usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    let basic = read.basic_constraints().map_err(|_| NoIdentity::Unreadable)?;
    if signs || basic.is_some_and(|basic| basic.value.ca) {
        return Err(NoIdentity::Authority);
    }
    let id = only_uri(&read)?;
    if id.path().is_empty() { Err(NoIdentity::NoPath) } else { Ok(id) }
}

/// The trust domain that an authority's certificate says it vouches for; `None` where it does not say.
///
/// # Errors
/// [`NoIdentity`]: it says so in no way that can be understood.
pub fn authority(certificate: &CertificateDer<'_>) -> Result<Option<String>, NoIdentity> {
    match only_uri(&read(certificate)?) {
        Ok(id) => Ok(Some(id.trust_domain().to_owned())),
        Err(NoIdentity::None) => Ok(None),
        Err(why) => Err(why),
    }
}

fn read<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, NoIdentity> {
    match X509Certificate::from_der(certificate) {
        Ok(([], read)) => Ok(read),
        _ => Err(NoIdentity::Unreadable),
    }
}

/// A name that cannot be read may be a URI to somebody else: it counts as one.
fn only_uri(read: &X509Certificate<'_>) -> Result<SpiffeId, NoIdentity> {
    let names = read.subject_alternative_name().map_err(|_| NoIdentity::Unreadable)?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter(|name| matches!(name, GeneralName::URI(_) | GeneralName::Invalid(..)));
    match uris.collect::<Vec<_>>().as_slice() {
        [] => Err(NoIdentity::None),
        [GeneralName::URI(uri)] => Ok(SpiffeId::parse(uri)?),
        [_] => Err(NoIdentity::Unreadable),
        several => Err(NoIdentity::Several(several.len())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};

    fn made(uris: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["cart.internal".to_owned()]).unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn one_uri_is_the_identity_and_other_names_do_not_matter() {
        let id = workload(&made(&["spiffe://mesh.local/cart"], |_| {})).unwrap();
        assert_eq!(id.as_str(), "spiffe://mesh.local/cart");
    }

    #[test]
    fn what_the_standard_forbids_identifies_nobody() {
        let id = "spiffe://mesh.local/cart";
        let ca = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signs = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        assert_eq!(workload(&made(&[], |_| {})), Err(NoIdentity::None));
        assert_eq!(workload(&made(&[id, "spiffe://mesh.local/web"], |_| {})), Err(NoIdentity::Several(2)));
        assert_eq!(workload(&made(&[id, "https://example.com"], |_| {})), Err(NoIdentity::Several(2)));
        assert_eq!(workload(&made(&[id], ca)), Err(NoIdentity::Authority));
        assert_eq!(workload(&made(&[id], signs)), Err(NoIdentity::Authority));
        assert_eq!(workload(&made(&["spiffe://mesh.local"], |_| {})), Err(NoIdentity::NoPath));
        assert_eq!(workload(&made(&["https://mesh.local/a"], |_| {})), Err(NoIdentity::Bad(BadId::Scheme)));
        let nul = made(&["spiffe://mesh.local/cart\0.evil"], |_| {});
        assert_eq!(workload(&nul), Err(NoIdentity::Bad(BadId::Path)));
        assert_eq!(workload(&CertificateDer::from(vec![48, 1])), Err(NoIdentity::Unreadable));
    }

    #[test]
    fn an_authority_names_its_trust_domain_or_none() {
        assert_eq!(authority(&made(&["spiffe://mesh.local"], |_| {})), Ok(Some("mesh.local".to_owned())));
        assert_eq!(authority(&made(&[], |_| {})), Ok(None));
        assert!(authority(&made(&["spiffe://a", "spiffe://b"], |_| {})).is_err());
    }
}
