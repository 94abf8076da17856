//! Sets of keys: what none of them may be used for.

use serde_json::json;

use super::issuer::{Issuer, b64, claims, passes, rules};
use super::*;

#[test]
fn keys_are_used_only_for_what_they_are_for() {
    let (issuer, rules) = (Issuer::new(), rules());
    let token = issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string());
    let with = |change: Value| {
        let mut key = issuer.ec_jwk();
        change.as_object().unwrap().iter().for_each(|(name, value)| key[name] = value.clone());
        let set =
            json!({"keys": [key, {"kty": "oct", "kid": "ec", "alg": "ES256", "k": "c2VjcmV0"}]}).to_string();
        KeySet::parse(set.as_bytes(), &rules.algorithms).is_ok_and(|keys| passes(&token, &keys, &rules))
    };
    assert!(with(json!({})) && with(json!({"use": "sig", "key_ops": ["verify"], "alg": "ES256"})));
    for bad in [
        json!({"use": "enc"}),
        json!({"use": ["sig"]}),
        json!({"use": null}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": []}),
        json!({"alg": ["ES256"]}),
        json!({"alg": "ES521"}),
        json!({"alg": "ECDH-ES"}),
        json!({"kid": ["ec"]}),
        // Its private half is public.
        json!({"d": b64(&[7; 32])}),
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "ES384"}),
        json!({"kid": "other"}),
        json!({"kty": "RSA"}),
        json!({"crv": "P-384"}),
        // Not on the curve.
        json!({"y": b64(&[7; 32])}),
        json!({"x": b64(&[0; 33])}),
        json!({"x": format!("{}=", b64(&[1; 32]))}),
        json!({"x": 7}),
    ] {
        assert!(!with(bad.clone()), "{bad}");
    }
    let weak = json!({"keys": [{"kty": "RSA", "n": b64(&[0xff; 128]), "e": "AQAB"}]}).to_string();
    assert!(KeySet::parse(weak.as_bytes(), &rules.algorithms).is_err(), "1024 bits are too few");
    for none in [r#"{"keys":[]}"#, "{}", "[]", r#"{"keys":[],"keys":[]}"#, "x"] {
        assert!(KeySet::parse(none.as_bytes(), &rules.algorithms).is_err(), "{none}");
    }
}

#[test]
fn a_key_id_that_two_keys_have_names_none() {
    let (issuer, rules) = (Issuer::new(), rules());
    let token = issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string());
    let of = |keys: Value| KeySet::parse(keys.to_string().as_bytes(), &rules.algorithms).unwrap();
    assert!(passes(&token, &of(json!({"keys": [issuer.ec_jwk()]})), &rules));
    for two in [[issuer.ec_jwk(), Issuer::new().ec_jwk()], [Issuer::new().ec_jwk(), issuer.ec_jwk()]] {
        assert!(!passes(&token, &of(json!({ "keys": two })), &rules));
    }
    let mut rsa = issuer.rsa_jwk();
    rsa["kid"] = "ec".into();
    let other_kind = of(json!({"keys": [issuer.ec_jwk(), rsa]}));
    assert!(passes(&token, &other_kind, &rules), "what another algorithm uses is not meant");
}

/// 65537^128, most significant byte first: odd, of 2049 bits, and modulo every prime a power of 65537.
fn power_of_65537() -> Vec<u8> {
    let mut number = vec![1_u8];
    for _ in 0..128 {
        let shifted = [&number[..], &[0, 0]].concat();
        let padded = [&[0, 0][..], &number].concat();
        let mut carry = 0;
        let mut sum: Vec<u8> = shifted
            .iter()
            .zip(&padded)
            .rev()
            .map(|(a, b)| {
                let sum = u16::from(*a) + u16::from(*b) + carry;
                carry = sum >> 8;
                (sum & 0xff) as u8
            })
            .collect();
        sum.reverse();
        number = sum;
    }
    number
}

#[test]
fn rsa_keys_that_can_be_worked_out_are_no_keys() {
    let (issuer, rules) = (Issuer::new(), rules());
    let usable = |n: &[u8], e: &[u8]| {
        let set = json!({"keys": [{"kty": "RSA", "kid": "rsa", "n": b64(n), "e": b64(e)}]});
        KeySet::parse(set.to_string().as_bytes(), &rules.algorithms).ok()
    };
    let good = URL_SAFE_NO_PAD.decode(issuer.rsa_jwk()["n"].as_str().unwrap()).unwrap();
    assert!(usable(&good, &[1, 0, 1]).is_some());
    for (what, n, e) in [
        ("the exponent 1", good.clone(), vec![1]),
        ("the exponent 0", good.clone(), vec![0]),
        ("an even exponent", good.clone(), vec![1, 0, 0]),
        ("an even modulus", [&good[..255], &[0]].concat(), vec![1, 0, 1]),
        ("an exponent as long as the modulus", good.clone(), good.clone()),
        ("1024 bits", good[..128].to_vec(), vec![1, 0, 1]),
        ("1024 bits after zeros", [&[0; 128], &good[128..]].concat(), vec![1, 0, 1]),
        ("primes of too few (CVE-2017-15361)", power_of_65537(), vec![1, 0, 1]),
    ] {
        assert!(usable(&n, &e).is_none(), "{what} is a key");
    }
}
