//! Fields that tell browsers to be careful with an answer, whoever made it.

use http::{HeaderMap, HeaderName, HeaderValue};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseFields {
    /// In every answer.
    pub always: Vec<(HeaderName, HeaderValue)>,
    /// Where the client came over TLS: RFC 6797 section 7.2 forbids it in clear text.
    pub over_tls: Option<(HeaderName, HeaderValue)>,
}

impl ResponseFields {
    /// Adds what the answer does not say itself.
    pub fn complete(&self, headers: &mut HeaderMap, over_tls: bool) {
        let secure = self.over_tls.iter().filter(|_| over_tls);
        for (name, value) in self.always.iter().chain(secure) {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}
