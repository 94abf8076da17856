//! Tokens, published keys, lists of keys and of networks, whatever they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::security::authentication::{Algorithm, KeySet, Rules, Unverified, key_hash, parse_keys};
use proxy::security::ip_lists::{IpSet, parse};

const ALGORITHMS: [&str; 4] = ["RS256", "PS384", "ES256", "EdDSA"];

fuzz_target!(|bytes: &[u8]| {
    let algorithms: Vec<Algorithm> = ALGORITHMS.iter().filter_map(|name| Algorithm::named(name)).collect();
    assert_eq!(algorithms.len(), ALGORITHMS.len());
    let keys = KeySet::parse(bytes, &algorithms);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rules = Rules { issuer: "a".into(), audiences: vec!["b".into()], algorithms, skew: 60, max_bytes: 2_048 };
    if let Some(token) = Unverified::parse(text, &rules) {
        assert!(text.len() <= 2_048 && text.matches('.').count() == 2);
        // Nobody signed it: only chance could verify it, and there is too little of it.
        assert!(keys.is_err() || token.verified(&keys.unwrap()).is_err());
    }
    let _ = key_hash(text);
    let _ = parse_keys(text);
    if let Ok(networks) = parse(text) {
        let first = networks.first().map(ipnet::IpNet::addr);
        let set = IpSet::new(networks.into_iter());
        assert!(first.is_none_or(|ip| set.contains(ip)));
    }
});
