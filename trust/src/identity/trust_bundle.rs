//! Whom to believe: authorities' certificates of one PEM file, kept apart by trust domain.
//!
//! An authority that names its trust domain (X509-SVID section 3.2) vouches for that one only: a bundle of
//! two federated domains does not let one speak for the other. One that names none vouches for any. While
//! old and new authorities stand in the file together, both are believed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{DistinguishedName, RootCertStore};

use super::svid;
use super::validity::Validity;
use crate::tls::chain;

/// See the module.
#[derive(Debug)]
pub struct TrustBundle {
    by_domain: BTreeMap<String, Arc<RootCertStore>>,
    /// Of authorities that name no domain; absent where each does.
    any: Option<Arc<RootCertStore>>,
    subjects: Vec<DistinguishedName>,
    /// Of the authority that holds longest.
    pub validity: Option<Validity>,
}

impl TrustBundle {
    /// Reads the file's content.
    ///
    /// # Errors
    /// No PEM, no certificate, or one that is no authority's.
    pub fn read(path: &Path, pem: &[u8]) -> Result<Self, String> {
        let (mut named, mut unnamed) = (Vec::new(), Vec::new());
        let certificates = chain(path, pem)?;
        let validity = Validity::longest(&certificates);
        for certificate in certificates {
            let domain = svid::authority(&certificate).map_err(|why| format!("{}: {why}", path.display()))?;
            match domain {
                Some(domain) => named.push((domain, certificate)),
                None => unnamed.push(certificate),
            }
        }
        let domains: BTreeSet<&String> = named.iter().map(|(domain, _)| domain).collect();
        let store = |all: &mut dyn Iterator<Item = &CertificateDer<'static>>| store(path, all);
        let by_domain: Result<BTreeMap<_, _>, String> = domains
            .into_iter()
            .map(|domain| {
                let of_it = named.iter().filter(|(of, _)| of == domain).map(|(_, one)| one);
                Ok((domain.clone(), store(&mut of_it.chain(&unnamed))?))
            })
            .collect();
        let all = store(&mut named.iter().map(|(_, one)| one).chain(&unnamed))?;
        let any = if unnamed.is_empty() { None } else { Some(store(&mut unnamed.iter())?) };
        Ok(Self { by_domain: by_domain?, any, subjects: all.subjects(), validity })
    }

    /// Who may vouch for workloads of `domain`.
    #[must_use]
    pub fn roots_of(&self, domain: &str) -> Option<&Arc<RootCertStore>> {
        self.by_domain.get(domain).or(self.any.as_ref())
    }

    /// Each trust domain that is named, and its authorities.
    pub fn domains(&self) -> impl Iterator<Item = (&str, &Arc<RootCertStore>)> {
        self.by_domain.iter().map(|(domain, roots)| (domain.as_str(), roots))
    }

    /// Authorities that vouch for any domain.
    #[must_use]
    pub fn any(&self) -> Option<&Arc<RootCertStore>> {
        self.any.as_ref()
    }

    /// What a client is told of who is believed, so that it can choose among its certificates.
    #[must_use]
    pub fn subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }
}

fn store(
    path: &Path,
    all: &mut dyn Iterator<Item = &CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in all {
        roots.add(certificate.clone()).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};

    fn ca(uri: Option<&str>) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn an_authority_vouches_for_the_domain_it_names() {
        let pem = [ca(Some("spiffe://a.local")), ca(Some("spiffe://b.local")), ca(Some("spiffe://a.local"))];
        let bundle = TrustBundle::read(Path::new("x"), pem.concat().as_bytes()).unwrap();
        let known = |domain: &str| bundle.roots_of(domain).map(|roots| roots.len());
        assert_eq!((known("a.local"), known("b.local"), known("c.local")), (Some(2), Some(1), None));
        assert_eq!(bundle.subjects().len(), 3);
    }

    #[test]
    fn one_that_names_none_vouches_for_any() {
        let pem = [ca(None), ca(Some("spiffe://b.local"))].concat();
        let bundle = TrustBundle::read(Path::new("x"), pem.as_bytes()).unwrap();
        let known = |domain: &str| bundle.roots_of(domain).map(|roots| roots.len());
        assert_eq!((known("a.local"), known("b.local")), (Some(1), Some(2)));
    }

    #[test]
    fn what_is_no_bundle_is_refused_by_name() {
        let read = |pem: &str| TrustBundle::read(Path::new("ca.pem"), pem.as_bytes()).unwrap_err();
        assert!(read("").contains("ca.pem holds no certificate"));
        assert!(read(&ca(Some("https://a.local"))).contains("no SPIFFE id"));
    }
}
