//! Sticky sessions by cookie: the client carries a mark of its endpoint.
//!
//! A mark is a keyed hash of the endpoint's name, so that it tells nothing of the inside, and is the same
//! for all workers, after a restart, and in every proxy with the same admin token. It is no authority:
//! who shows a mark, made up or copied, gets that endpoint only if it may be asked, as anyone might.

use http::HeaderValue;
use protocol::id::{EndpointId, ServiceName};
use sha2::{Digest, Sha256};

use crate::settings::SessionCookie;

/// What marks are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// From bytes that nobody outside can know.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The endpoint's mark; never 0.
    #[must_use]
    pub fn mark(&self, service: &ServiceName, endpoint: &EndpointId) -> u64 {
        let mut hash = Sha256::new_with_prefix(self.0);
        hash.update(service.as_str());
        hash.update([0]);
        hash.update(endpoint.as_str());
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk::<8>().map_or(1, |first| u64::from_be_bytes(*first).max(1))
    }
}

/// The mark in a cookie's value: exactly sixteen hexadecimal digits, as written by [`set_cookie`].
#[must_use]
pub fn mark_in(value: &str) -> Option<u64> {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let written = value.len() == 16 && value.bytes().all(is_digit);
    written.then(|| u64::from_str_radix(value, 16).ok()).flatten()
}

/// The `Set-Cookie` that gives a client this mark.
#[must_use]
pub fn set_cookie(cookie: &SessionCookie, mark: u64) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}={mark:016x}{}", cookie.name, cookie.attributes)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_opaque_read_back_and_another_with_another_secret() {
        let (service, endpoint) =
            (ServiceName::new("cart").unwrap(), EndpointId::new("10.0.0.1:80").unwrap());
        let mark = Secret::new([1; 32]).mark(&service, &endpoint);
        assert_ne!(mark, Secret::new([2; 32]).mark(&service, &endpoint));
        let cookie = SessionCookie { name: "s".into(), attributes: "; Path=/; HttpOnly".into() };
        let header = set_cookie(&cookie, mark).unwrap();
        let text = header.to_str().unwrap();
        assert!(!text.contains("10.0.0.1") && text.ends_with("; Path=/; HttpOnly"));
        assert_eq!(mark_in(&text[2..18]), Some(mark));
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for text in ["", "12", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef0", "é123456789abcde"]
        {
            assert_eq!(mark_in(text), None, "{text}");
        }
    }
}
