//! The cryptography of every handshake, and in whose order its suites are preferred.
//!
//! Ours, not the client's: AES-128-GCM with SHA-256 first, as Envoy and Go have it where processors know AES.
//! A handshake derives a dozen keys by the suite's hash, and processors know SHA-256 where they do not SHA-384:
//! a client that merely names AES-256 first made each handshake a tenth dearer. A client that has only the
//! others is served by them.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, ServerConfig};

/// AWS-LC with the suites in our order; key exchanges in rustls' own, X25519MLKEM768 among them.
#[must_use]
pub fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_cheap(suite.suite()));
    provider
}

/// Lets our order decide.
pub(crate) fn prefer_ours(config: &mut ServerConfig) {
    config.ignore_client_order = true;
}

fn is_cheap(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_suites_come_first_and_none_is_lost() {
        let (ours, theirs) = (provider().cipher_suites, aws_lc_rs::default_provider().cipher_suites);
        assert!(ours[..3].iter().all(|suite| is_cheap(suite.suite())), "{ours:?}");
        assert_eq!(ours.len(), theirs.len());
        assert!(theirs.iter().all(|suite| ours.contains(suite)));
    }
}
