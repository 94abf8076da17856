//! Certificate revocation lists of one file: PEM, one after the other, or a single one in DER.

use std::path::Path;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::tls::read;

/// The lists in the file at `path`, and the file's content.
///
/// # Errors
/// It cannot be read, or holds no list.
pub fn lists(path: &Path) -> Result<(Vec<CertificateRevocationListDer<'static>>, Vec<u8>), String> {
    let bytes = read(path)?;
    let all = match CertificateRevocationList::from_der(&bytes) {
        Ok(([], _)) => vec![CertificateRevocationListDer::from(bytes.clone())],
        _ => {
            let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
            all.map_err(|why| format!("{} is neither PEM nor DER: {why}", path.display()))?
        }
    };
    if all.is_empty() {
        return Err(format!("{} holds no revocation list (BEGIN X509 CRL)", path.display()));
    }
    warn_of_old(path, &all);
    Ok((all, bytes))
}

/// The same lists, ready to be asked.
///
/// # Errors
/// One of them cannot be understood.
pub fn parsed(
    lists: &[CertificateRevocationListDer<'_>],
) -> Result<Vec<CertRevocationList<'static>>, webpki::Error> {
    lists.iter().map(|list| OwnedCertRevocationList::from_der(list).map(Into::into)).collect()
}

/// A list past its time is used all the same: without it more would be believed, not less.
fn warn_of_old(path: &Path, all: &[CertificateRevocationListDer<'_>]) {
    let now = x509_parser::time::ASN1Time::now();
    let due = |list: &CertificateRevocationListDer<'_>| {
        CertificateRevocationList::from_der(list)
            .is_ok_and(|(_, list)| list.next_update().is_some_and(|next| next < now))
    };
    if all.iter().any(due) {
        tracing::warn!(
            "{} is past its next update: it may not know of what was revoked since",
            path.display()
        );
    }
}
