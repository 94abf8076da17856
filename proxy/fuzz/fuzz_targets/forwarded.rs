//! X-Forwarded-For, Forwarded, Connection, cookies and trailers, whatever they say.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use proxy::middleware::client::{Scheme, announce, disbelieve, identify};
use proxy::middleware::headers;

const NAMES: [&str; 8] =
    ["x-forwarded-for", "forwarded", "connection", "te", "cookie", "x-lightsout-a", "x-real-ip", "upgrade"];

fuzz_target!(|bytes: &[u8]| {
    let mut map = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(name % 8)]);
        HeaderValue::from_bytes(value).into_iter().for_each(|value| {
            map.append(&name, value);
        });
    }
    let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    for peer in ["10.0.0.1", "192.0.2.1"] {
        let (peer, mut map) = (peer.parse().unwrap(), map.clone());
        let _ = identify(peer, &map, &trusted);
        headers::strip_internal(&mut map);
        disbelieve(peer, &mut map, &trusted);
        headers::join_cookies(&mut map);
        headers::strip_request(&mut map);
        announce(peer, Scheme::Http, &mut map, &trusted);
        assert!(!map.contains_key("x-lightsout-a") && !map.contains_key("upgrade"));
        assert!(map.get_all("x-forwarded-for").iter().count() == 1);
    }
});
