//! Whether an endpoint's response says in exactly one way where it ends.
//!
//! Where both are there `Transfer-Encoding` would frame and `Content-Length` be handed on: a client would be
//! told a length that is not the body's (RFC 9112 §6.3; Envoy and HAProxy refuse it too).
//! What is framed by closing the connection (neither field) ends with it and is fine.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// Whether `headers` frame a body without doubt: `Transfer-Encoding: chunked`, once and alone, or one
/// `Content-Length` of digits, or neither. Other transfer codings are none that this proxy undoes.
#[must_use]
pub fn is_sound(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => true,
        (None, Some(length)) => {
            let digits = length.as_bytes();
            lengths.next().is_none() && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        (Some(coding), None) => {
            codings.next().is_none() && coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn sound(fields: &[(HeaderName, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        is_sound(&headers)
    }

    #[test]
    fn one_way_of_saying_where_a_body_ends_is_sound() {
        assert!(sound(&[]));
        assert!(sound(&[(CONTENT_LENGTH, "0")]));
        assert!(sound(&[(TRANSFER_ENCODING, "chunked")]));
        assert!(sound(&[(TRANSFER_ENCODING, "Chunked ")]));
    }

    #[test]
    fn two_ways_or_another_coding_are_not() {
        assert!(!sound(&[(CONTENT_LENGTH, "3"), (TRANSFER_ENCODING, "chunked")]));
        assert!(!sound(&[(CONTENT_LENGTH, "2"), (CONTENT_LENGTH, "2")]));
        assert!(!sound(&[(CONTENT_LENGTH, "2, 2")]));
        assert!(!sound(&[(CONTENT_LENGTH, "")]));
        assert!(!sound(&[(TRANSFER_ENCODING, "gzip")]));
        assert!(!sound(&[(TRANSFER_ENCODING, "chunked, gzip")]));
        assert!(!sound(&[(TRANSFER_ENCODING, "chunked"), (TRANSFER_ENCODING, "chunked")]));
    }
}
