//! A request's path in one spelling, so that what is routed is what the endpoint reads.
//!
//! Unreserved characters are decoded and dot segments taken out (RFC 3986 sections 5.2.4 and 6.2.2);
//! what endpoints read in different ways is refused. The query is left alone.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

use crate::settings::{DotSegments, EscapedSlashes, PathRules};

/// Why a path is refused.
pub type Why = &'static str;

/// `uri` with its path in one spelling; `None` where it has that already.
///
/// # Errors
/// Why the path is refused.
pub fn normalise(uri: &Uri, rules: PathRules) -> Result<Option<Uri>, Why> {
    let Cow::Owned(path) = spelt(uri.path(), rules)? else { return Ok(None) };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let target = PathAndQuery::try_from(text).map_err(|_| "a path that is none")?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map(Some).map_err(|_| "a path that is none")
}

/// The path in one spelling.
///
/// # Errors
/// Why it is refused.
pub fn spelt(path: &str, rules: PathRules) -> Result<Cow<'_, str>, Why> {
    if path.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
        return Err("a path with bytes that must be percent-encoded");
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path, rules.escaped_slashes)?;
    let resolved = resolve(&decoded, rules)?;
    Ok(if resolved == path { Cow::Borrowed(path) } else { Cow::Owned(resolved) })
}

/// Whether nothing in it could be spelt otherwise.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        if matches!(byte, b'%' | b'\\') || (before == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        before = *byte;
    }
    true
}

fn decode(path: &str, slashes: EscapedSlashes) -> Result<String, Why> {
    let mut decoded = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => decode_one(hex_byte(bytes.next(), bytes.next())?, slashes, &mut decoded)?,
            b'\\' => push_slash("\\", slashes, &mut decoded)?,
            plain => decoded.push(char::from(plain)),
        }
    }
    Ok(decoded)
}

fn decode_one(byte: u8, slashes: EscapedSlashes, to: &mut String) -> Result<(), Why> {
    match byte {
        b'/' => push_slash("%2F", slashes, to)?,
        b'\\' => push_slash("%5C", slashes, to)?,
        0..=0x1f | 0x7f => return Err("an encoded control byte in the path"),
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => to.push(char::from(byte)),
        kept => {
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)]);
            to.extend(['%', digit(kept >> 4), digit(kept)]);
        }
    }
    Ok(())
}

fn push_slash(spelling: &str, slashes: EscapedSlashes, to: &mut String) -> Result<(), Why> {
    match slashes {
        EscapedSlashes::Reject => return Err("an encoded slash or a backslash in the path"),
        EscapedSlashes::Keep => to.push_str(spelling),
        EscapedSlashes::Decode => to.push('/'),
    }
    Ok(())
}

fn hex_byte(high: Option<u8>, low: Option<u8>) -> Result<u8, Why> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (high, low) = digit(high).zip(digit(low)).ok_or("a broken percent-encoding in the path")?;
    u8::try_from(high << 4 | low).map_err(|_| "a broken percent-encoding in the path")
}

fn resolve(path: &str, rules: PathRules) -> Result<String, Why> {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_directory = false;
    for segment in path.split('/').skip(1) {
        ends_in_directory = true;
        // Some servers cut `;…` off before they look for dots, others after.
        let bare = segment.split(';').next().unwrap_or_default();
        let dots = matches!(bare, "." | "..");
        match segment {
            _ if dots && bare.len() < segment.len() => return Err("dots with a parameter in the path"),
            _ if dots && rules.dot_segments == DotSegments::Reject => return Err("dots in the path"),
            "." => {}
            ".." => {
                segments.pop().ok_or("a path that leaves the root")?;
            }
            "" if rules.merge_slashes => {}
            segment => {
                segments.push(segment);
                ends_in_directory = false;
            }
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in &segments {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if ends_in_directory || resolved.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_default(path: &str) -> Result<String, Why> {
        spelt(path, PathRules::default()).map(Cow::into_owned)
    }

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for (given, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a//b///c", "/a/b/c"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%61%2Db%7e", "/a-b~"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/", "/a/"),
            ("//", "/"),
            ("//evil.example/x", "/evil.example/x"),
        ] {
            assert_eq!(by_default(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_endpoints_read_in_different_ways_is_refused() {
        for path in [
            "/..",
            "/../etc",
            "/a/../../b",
            "/%2e%2e/b",
            "/a/%2e%2e%2f..",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%0d%0ab",
            "/a%",
            "/a%2",
            "/a%zz",
            "/..;/b",
            "/a/.;x/b",
            "/a/%2e%2e;/b",
            "/a%7f",
            "/caf\u{e9}",
            "/a b",
        ] {
            assert!(by_default(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_rules_say_what_slashes_and_dots_are() {
        let rules = PathRules::default();
        let keep = PathRules { escaped_slashes: EscapedSlashes::Keep, ..rules };
        let decode = PathRules { escaped_slashes: EscapedSlashes::Decode, ..rules };
        assert_eq!(spelt("/a%2fb%5c", keep).unwrap(), "/a%2Fb%5C");
        assert_eq!(spelt("/a%2f..%5cb", decode).unwrap(), "/b");
        assert!(spelt("/%2f..%2f..", decode).is_err());
        assert!(spelt("/a/../b", PathRules { dot_segments: DotSegments::Reject, ..rules }).is_err());
        assert_eq!(spelt("//a//b", PathRules { merge_slashes: false, ..rules }).unwrap(), "//a//b");
        let uri: Uri = "http://a:81/x/../y?q=/../%2e".parse().unwrap();
        assert_eq!(normalise(&uri, rules).unwrap().unwrap(), "http://a:81/y?q=/../%2e");
        assert_eq!(normalise(&"/x/y".parse().unwrap(), rules), Ok(None));
    }

    proptest! {
        #[test]
        fn a_normal_path_stays_as_it_is_and_leads_nowhere_else(path in "/([a-c./%25;2eEfF\\\\~]|%2e|%2f|\\.\\./){0,24}") {
            for escaped_slashes in [EscapedSlashes::Reject, EscapedSlashes::Keep, EscapedSlashes::Decode] {
                let rules = PathRules { escaped_slashes, ..PathRules::default() };
                if let Ok(once) = spelt(&path, rules) {
                    prop_assert_eq!(spelt(&once, rules), Ok(Cow::Borrowed(&*once)));
                    prop_assert!(once.starts_with('/') && !once.contains("//"));
                    prop_assert!(once.split('/').all(|segment| segment != ".." && segment != "."));
                }
            }
        }

        #[test]
        fn no_path_at_all_panics(path in ".{0,40}") {
            let _ = by_default(&path);
        }
    }
}
