//! What a client is told that is not known (RFC 9110 section 11.6.1, RFC 6750 section 3): how to be known, and
//! of a bad credential that it is bad, but not why.

use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use super::{Failure, Known};
use crate::settings::{Credential, ProviderKind};

/// Adds a challenge for each of `providers`.
pub fn challenge(providers: &[Arc<Known>], failure: &Failure, fields: &mut HeaderMap) {
    // RFC 6750 section 3.1: who has shown nothing is not told of an error.
    let error = if matches!(failure, Failure::Missing) { "" } else { ", error=\"invalid_token\"" };
    for known in providers {
        let name = &known.settings.name;
        let text = match (&known.settings.kind, &known.settings.credential) {
            (ProviderKind::Certificate(_), _) => format!("ClientCertificate realm=\"{name}\""),
            (ProviderKind::Jwt(_) | ProviderKind::Introspection(_), _) | (_, Credential::Bearer) => {
                format!("Bearer realm=\"{name}\"{error}")
            }
            (_, Credential::Connection) => continue,
            (_, Credential::Header(header)) => format!("ApiKey realm=\"{name}\", header=\"{header}\""),
            (_, Credential::Cookie(cookie)) => format!("ApiKey realm=\"{name}\", cookie=\"{cookie}\""),
        };
        // Names are labels; headers and cookies are tokens.
        HeaderValue::try_from(text).into_iter().for_each(|text| _ = fields.append(WWW_AUTHENTICATE, text));
    }
}
