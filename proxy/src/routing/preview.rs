//! Which requests ask for a version on trial.

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use protocol::trial::Preview;

use crate::upstream::preference::cookie;

/// What a request says that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asking {
    Header(HeaderName, HeaderValue),
    Cookie(String, String),
}

impl Asking {
    /// As a lease says; `None` where nobody could say that.
    pub(super) fn of(preview: &Preview) -> Option<Self> {
        let value = || preview.value.clone();
        match preview.key.split_once(':')? {
            ("header", name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some(Self::Header(name, HeaderValue::from_str(&preview.value).ok()?))
            }
            ("cookie", name) => Some(Self::Cookie(name.to_owned(), value())),
            _ => None,
        }
    }

    /// Whether the request says so.
    pub(super) fn is_made_by(&self, request: &Parts) -> bool {
        match self {
            Self::Header(name, value) => request.headers.get(name) == Some(value),
            Self::Cookie(name, value) => cookie(&request.headers, name) == Some(value),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn a_request_asks_by_a_header_or_a_cookie_to_the_letter() {
        let asking = |key: &str| Asking::of(&Preview { key: key.into(), value: "yes".into() }).unwrap();
        let asks = |asking: &Asking, name: &str, value: &str| {
            asking.is_made_by(&Request::get("/").header(name, value).body(()).unwrap().into_parts().0)
        };
        let header = asking("header:X-Preview");
        assert!(asks(&header, "x-preview", "yes") && !asks(&header, "x-preview", "Yes"));
        let cookie = asking("cookie:preview");
        assert!(asks(&cookie, "cookie", "a=b; preview=yes") && !asks(&cookie, "cookie", "preview=yes!"));
        assert!(!asks(&cookie, "preview", "yes"));
        assert_eq!(Asking::of(&Preview { key: "path".into(), value: "/".into() }), None);
    }
}
