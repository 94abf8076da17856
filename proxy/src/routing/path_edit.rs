//! Paths in place of others, by the Gateway API's `HTTPPathModifier`, and where a redirect leads, by its
//! `HTTPRequestRedirectFilter`.
//!
//! One departure: where neither scheme nor port is given, a redirect keeps the port that the client
//! named, as Envoy does, instead of the listener's. They are the same for a client that reached the
//! listener itself; behind a port mapping the listener's would lead nowhere.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::middleware::validity::{host_of, without_port};
use crate::settings::{PathEdit, Redirect};

/// The path of the edited `path`, of which the route matched the first `prefix` bytes.
#[must_use]
pub fn edited(edit: &PathEdit, path: &str, prefix: usize) -> String {
    match edit {
        PathEdit::Full(full) => full.clone(),
        // `OPTIONS *` has no path to edit.
        PathEdit::Prefix(_) if !path.starts_with('/') => path.to_owned(),
        PathEdit::Prefix(replacement) => {
            let rest = path.get(prefix..).unwrap_or_default();
            if replacement.is_empty() && rest.is_empty() {
                "/".to_owned()
            } else {
                format!("{replacement}{rest}")
            }
        }
    }
}

/// The target with its path edited, its query kept; `None` where that makes no target.
#[must_use]
pub fn target(edit: &PathEdit, uri: &Uri, prefix: usize) -> Option<PathAndQuery> {
    let path = edited(edit, uri.path(), prefix);
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    PathAndQuery::from_maybe_shared(text.into_bytes()).ok()
}

/// `Location` for a request that came over `scheme`.
#[must_use]
pub fn location(redirect: &Redirect, request: &Parts, scheme: &str, prefix: usize) -> Option<HeaderValue> {
    let edit = redirect.path.as_ref();
    let target = match edit {
        Some(edit) => target(edit, &request.uri, prefix)?,
        None => request.uri.path_and_query()?.clone(),
    };
    let named = host_of(request);
    let own = without_port(named);
    let host = redirect.host.as_deref().unwrap_or(own);
    if host.is_empty() {
        // HTTP/1.0 without a host: a path alone, and never one that reads as another host.
        return HeaderValue::try_from(format!("/{}", target.as_str().trim_start_matches('/'))).ok();
    }
    let port_named = || named.get(own.len()..)?.strip_prefix(':')?.parse::<u16>().ok();
    let port = redirect.port.or_else(|| if redirect.scheme.is_none() { port_named() } else { None });
    let scheme = redirect.scheme.unwrap_or(scheme);
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    HeaderValue::try_from(format!("{scheme}://{host}{port}{target}")).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{Request, StatusCode};

    #[test]
    fn prefixes_are_replaced_as_the_table_of_the_gateway_api_says() {
        for (path, prefix, replacement, edited_path) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/bar", "", "/xyz", "/xyz/bar"),
            ("*", "", "/xyz", "*"),
        ] {
            let edit = PathEdit::Prefix(replacement.to_owned());
            assert_eq!(edited(&edit, path, prefix.len()), edited_path, "{path} {prefix} {replacement}");
        }
    }

    #[test]
    fn the_query_stays_when_a_path_is_replaced() {
        let edit = PathEdit::Full("/new".to_owned());
        assert_eq!(target(&edit, &"/old/path?a=1&b".parse().unwrap(), 0).unwrap(), "/new?a=1&b");
    }

    fn leads(redirect: &Redirect, host: &str, uri: &str) -> String {
        let mut request = Request::builder().uri(uri);
        if !host.is_empty() {
            request = request.header("host", host);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        location(redirect, &parts, "http", "/foo".len()).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_redirect_changes_what_it_names_and_leaves_out_usual_ports() {
        let kept =
            || Redirect { scheme: None, host: None, port: None, path: None, status: StatusCode::FOUND };
        let prefix = || Some(PathEdit::Prefix("/xyz".to_owned()));
        for (redirect, host, uri, location) in [
            (kept(), "a.example:8000", "/foo?q", "http://a.example:8000/foo?q"),
            (Redirect { scheme: Some("https"), ..kept() }, "a.example:8000", "/foo", "https://a.example/foo"),
            (Redirect { scheme: Some("https"), port: Some(8443), ..kept() }, "a:80", "/", "https://a:8443/"),
            (Redirect { port: Some(80), ..kept() }, "a:8000", "/", "http://a/"),
            (Redirect { host: Some("b".into()), ..kept() }, "a:8000", "/", "http://b:8000/"),
            (Redirect { path: prefix(), ..kept() }, "[::1]:81", "/foo/bar?q", "http://[::1]:81/xyz/bar?q"),
            (kept(), "", "//evil.example/x", "/evil.example/x"),
        ] {
            assert_eq!(leads(&redirect, host, uri), location);
        }
    }
}
