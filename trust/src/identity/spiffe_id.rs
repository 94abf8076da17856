//! SPIFFE ids as the SPIFFE-ID standard (section 2) has them: read strictly, so that two texts are the same
//! workload only if they are the same bytes.

use std::fmt;
use std::sync::Arc;

/// The longest id, bytes (section 2.3).
pub const MAX_ID_BYTES: usize = 2_048;
/// The longest trust domain, bytes (section 2.3).
pub const MAX_DOMAIN_BYTES: usize = 255;
const SCHEME: &str = "spiffe://";

/// `spiffe://DOMAIN` or `spiffe://DOMAIN/PATH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Bytes of the trust domain.
    domain: usize,
}

/// Why a text is no SPIFFE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Too long.
    #[error("it is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// Another scheme.
    #[error("it does not begin with spiffe://")]
    Scheme,
    /// No trust domain, or one of other characters.
    #[error(
        "its trust domain is not 1 to {MAX_DOMAIN_BYTES} lower-case letters, digits, dots, hyphens and underscores"
    )]
    Domain,
    /// A path of other characters, or with empty segments or dots.
    #[error(
        "its path has a segment that is empty, a dot, two dots, or not letters, digits, . - _ throughout"
    )]
    Path,
}

impl SpiffeId {
    /// Reads `text`.
    ///
    /// # Errors
    /// [`BadId`].
    pub fn parse(text: &str) -> Result<Self, BadId> {
        if text.len() > MAX_ID_BYTES {
            return Err(BadId::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(BadId::Scheme)?;
        let (domain, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if !is_trust_domain(domain) {
            return Err(BadId::Domain);
        }
        let segments = path.strip_prefix('/').map(|path| path.split('/'));
        if !segments.into_iter().flatten().all(is_segment) {
            return Err(BadId::Path);
        }
        Ok(Self { text: text.into(), domain: domain.len() })
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..SCHEME.len() + self.domain).unwrap_or_default()
    }

    /// What follows the trust domain: empty, or `/…`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(SCHEME.len() + self.domain..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` may name a trust domain.
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    (1..=MAX_DOMAIN_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

fn is_segment(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    !matches!(text, "" | "." | "..") && text.bytes().all(fits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_a_trust_domain_and_a_path() {
        let id = SpiffeId::parse("spiffe://mesh.local/ns/shop/sa/cart").unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("mesh.local", "/ns/shop/sa/cart"));
        let domain = SpiffeId::parse("spiffe://mesh.local").unwrap();
        assert_eq!((domain.trust_domain(), domain.path()), ("mesh.local", ""));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_id() {
        let long = format!("spiffe://mesh.local/{}", "a".repeat(MAX_ID_BYTES));
        let domain = format!("spiffe://{}/a", "a".repeat(MAX_DOMAIN_BYTES + 1));
        for (text, why) in [
            ("https://mesh.local/a", BadId::Scheme),
            ("SPIFFE://mesh.local/a", BadId::Scheme),
            ("spiffe:/mesh.local/a", BadId::Scheme),
            ("", BadId::Scheme),
            ("spiffe://", BadId::Domain),
            ("spiffe:///a", BadId::Domain),
            ("spiffe://Mesh.local/a", BadId::Domain),
            ("spiffe://mesh.local:443/a", BadId::Domain),
            ("spiffe://user@mesh.local/a", BadId::Domain),
            ("spiffe://*/a", BadId::Domain),
            ("spiffe://mesh.local?x", BadId::Domain),
            (&domain, BadId::Domain),
            ("spiffe://mesh.local/", BadId::Path),
            ("spiffe://mesh.local/a/", BadId::Path),
            ("spiffe://mesh.local//a", BadId::Path),
            ("spiffe://mesh.local/a/../b", BadId::Path),
            ("spiffe://mesh.local/./b", BadId::Path),
            ("spiffe://mesh.local/*", BadId::Path),
            ("spiffe://mesh.local/a%2fb", BadId::Path),
            ("spiffe://mesh.local/a?x", BadId::Path),
            ("spiffe://mesh.local/a#x", BadId::Path),
            ("spiffe://mesh.local/a\0b", BadId::Path),
            ("spiffe://mesh.local/a b", BadId::Path),
            ("spiffe://mesh.local/ä", BadId::Path),
            (&long, BadId::TooLong),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_that_is_read_is_safe_to_write_anywhere(text in "(spiffe://)?.{0,60}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\;,=%*".contains(&b)));
                prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
            }
        }
    }
}
