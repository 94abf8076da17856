//! Where credentials stand in a request. One that stands there twice is none: who reads on may take the other.

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Failure;
use crate::settings::{Credential, Provider};

/// What `provider` would look at.
///
/// # Errors
/// It is missing, or there more than once.
pub fn presented<'a>(provider: &Provider, headers: &'a HeaderMap) -> Result<&'a [u8], Failure> {
    match &provider.credential {
        Credential::Bearer => bearer(once(headers, &AUTHORIZATION)?),
        Credential::Header(name) => once(headers, name),
        Credential::Cookie(name) => cookie(headers, name),
        Credential::Connection => Err(Failure::Missing),
    }
}

fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a [u8], Failure> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().ok_or(Failure::Missing)?;
    if all.next().is_some() { Err(Failure::Invalid) } else { Ok(first.as_bytes()) }
}

/// RFC 6750 section 2.1; another scheme is no credential for us.
fn bearer(value: &[u8]) -> Result<&[u8], Failure> {
    let (scheme, rest) = value.split_at_checked(6).ok_or(Failure::Missing)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || rest.first().is_some_and(|byte| *byte != b' ') {
        return Err(Failure::Missing);
    }
    Ok(rest.trim_ascii())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], Failure> {
    let crumbs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut named = crumbs.filter_map(|crumb| value_of(crumb, name));
    let first = named.next().ok_or(Failure::Missing)?;
    if named.next().is_some() { Err(Failure::Invalid) } else { Ok(first) }
}

fn value_of<'a>(crumb: &'a [u8], name: &str) -> Option<&'a [u8]> {
    crumb.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// Takes the credential away where it is not to go on.
pub fn withhold(provider: &Provider, request: &mut Parts) {
    if provider.forward {
        return;
    }
    let headers = &mut request.headers;
    match &provider.credential {
        Credential::Bearer => drop(headers.remove(AUTHORIZATION)),
        Credential::Header(name) => drop(headers.remove(name)),
        Credential::Cookie(name) => without(name, headers),
        Credential::Connection => {}
    }
}

fn without(name: &str, headers: &mut HeaderMap) {
    let lines = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let others = lines.filter(|crumb| value_of(crumb, name).is_none()).map(<[u8]>::trim_ascii);
    let others = others.collect::<Vec<_>>().join(&b"; "[..]);
    headers.remove(COOKIE);
    // Parts of a value make a value.
    if let Some(rest) = HeaderValue::from_bytes(&others).ok().filter(|rest| !rest.is_empty()) {
        headers.insert(COOKIE, rest);
    }
}
