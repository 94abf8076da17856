//! One word for why a handshake failed: a label of metrics.

use std::io;

use rustls::{CertificateError, Error};

/// The word; those that are not about the client's certificate are all `handshake`.
#[must_use]
pub fn reason(why: &io::Error) -> &'static str {
    if why.kind() == io::ErrorKind::TimedOut {
        return "timeout";
    }
    match why.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::NoCertificatesPresented) => "no_certificate",
        Some(Error::InvalidCertificate(why)) => of_certificate(why),
        Some(Error::InvalidCertRevocationList(_)) => "revocation_list",
        _ => "handshake",
    }
}

fn of_certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::ApplicationVerificationFailure => "not_allowed",
        CertificateError::Other(_) => "no_identity",
        _ => "bad_certificate",
    }
}
