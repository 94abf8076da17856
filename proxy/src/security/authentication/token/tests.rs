//! The classes of attack of Wycheproof's JSON-web vectors (json_web_signature, json_web_key) and of RFC 8725,
//! a row each. What passes beside them shows that the rows fail for their own reason.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn rsa_jwk(&self) -> Value {
        // RFC 8017: SEQUENCE { INTEGER n, INTEGER e } of a key of 2048 bits.
        let der = self.rsa.public_key().as_ref();
        let (n, e) = (&der[9..265], &der[267..270]);
        json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(n), "e": b64(e)})
    }

    fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])})
    }

    fn ed_jwk(&self) -> Value {
        let x = b64(self.ed.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": x})
    }

    fn keys(&self, rules: &Rules) -> KeySet {
        let set = json!({"keys": [self.rsa_jwk(), self.ec_jwk(), self.ed_jwk()]});
        KeySet::parse(set.to_string().as_bytes(), &rules.algorithms).unwrap()
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let random = SystemRandom::new();
        let signature = if header.contains("ES256") {
            self.ec.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
        } else if header.contains("EdDSA") {
            self.ed.sign(message.as_bytes()).as_ref().to_vec()
        } else {
            let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                if header.contains("PS256") { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
            signature
        };
        format!("{message}.{}", b64(&signature))
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rules() -> Rules {
    Rules {
        issuer: "https://idp.example".to_owned(),
        audiences: vec!["shop".to_owned(), "cart".to_owned()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa],
        skew: 60,
        max_bytes: 4_096,
    }
}

fn claims() -> Value {
    json!({"iss": "https://idp.example", "aud": "shop", "sub": "alice", "exp": NOW + 300, "iat": NOW})
}

fn passes(token: &str, keys: &KeySet, rules: &Rules) -> bool {
    let token = Unverified::parse(token, rules);
    let claims = token.and_then(|token| token.verified(keys).ok().flatten());
    claims.is_some_and(|claims| rules.take(&claims, NOW))
}

#[test]
fn a_token_of_each_kind_of_key_passes() {
    let (issuer, rules) = (Issuer::new(), rules());
    let keys = issuer.keys(&rules);
    for header in [
        r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#,
        r#"{"alg":"PS256","kid":"rsa","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"ec"}"#,
        r#"{"alg":"EdDSA","kid":"ed","x5t":"unused"}"#,
        // The only key that this algorithm can use.
        r#"{"alg":"ES256"}"#,
    ] {
        assert!(passes(&issuer.sign(header, &claims().to_string()), &keys, &rules), "{header}");
    }
}

/// A row each: what is attacked, and a token that does.
fn attacks(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let sign = |header: &str| issuer.sign(header, &claims().to_string());
    let good = sign(r#"{"alg":"ES256","kid":"ec"}"#);
    let parts: Vec<&str> = good.split('.').collect();
    let (header, body, signature) = (parts[0], parts[1], parts[2]);
    let raw =
        |header: &str, signature: &[u8]| format!("{}.{body}.{}", b64(header.as_bytes()), b64(signature));
    let mac = |secret: &[u8]| {
        let head = b64(br#"{"alg":"HS256","kid":"rsa"}"#);
        let message = format!("{head}.{body}");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", b64(tag.as_ref()))
    };
    let public = issuer.rsa.public_key().as_ref().to_vec();
    let changed = b64(claims().to_string().replace("alice", "admin").as_bytes());
    let whole = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = whole.clone();
    flipped[5] ^= 1;
    let stranger = Issuer::new();
    vec![
        ("alg none", raw(r#"{"alg":"none"}"#, b"")),
        ("alg none in other letters", raw(r#"{"alg":"nOnE"}"#, b"")),
        ("alg none with the signature left", format!("{}.{body}.{signature}", b64(br#"{"alg":"none"}"#))),
        ("no alg", sign(r#"{"x":"ES256"}"#)),
        ("alg is no text", sign(r#"{"alg":["ES256"]}"#)),
        ("alg in lower case", sign(r#"{"alg":"es256","x":"ES256"}"#)),
        ("HMAC with the public key (RFC 8725 2.1)", mac(&public)),
        ("HMAC with the public key as it is published", mac(issuer.rsa_jwk().to_string().as_bytes())),
        ("HMAC with an empty key", mac(b"")),
        ("an algorithm that is not allowed", sign(r#"{"alg":"RS512","kid":"rsa"}"#)),
        ("a key of another kind", sign(r#"{"alg":"ES256","kid":"rsa"}"#)),
        (
            "a padding that the header does not say",
            issuer.sign(r#"{"alg":"RS256","kid":"rsa"}"#, &claims().to_string()).replacen(
                &b64(br#"{"alg":"RS256","kid":"rsa"}"#),
                &b64(br#"{"alg":"PS256","kid":"rsa"}"#),
                1,
            ),
        ),
        ("a key id that nobody has", sign(r#"{"alg":"ES256","kid":"../../dev/null"}"#)),
        ("a key id that is no text", sign(r#"{"alg":"ES256","kid":{"$ne":""}}"#)),
        ("a key id without end", sign(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(600)))),
        ("no key id where two keys fit", sign(r#"{"alg":"RS256"}"#)),
        ("jku", sign(r#"{"alg":"ES256","kid":"ec","jku":"https://evil.example/jwks"}"#)),
        ("x5u", sign(r#"{"alg":"ES256","kid":"ec","x5u":"https://evil.example/x"}"#)),
        ("x5c", sign(r#"{"alg":"ES256","kid":"ec","x5c":[]}"#)),
        (
            "an embedded key",
            stranger
                .sign(&json!({"alg": "ES256", "jwk": stranger.ec_jwk()}).to_string(), &claims().to_string()),
        ),
        ("crit", sign(r#"{"alg":"ES256","kid":"ec","crit":["exp"]}"#)),
        ("b64", sign(r#"{"alg":"ES256","kid":"ec","b64":false}"#)),
        ("zip", sign(r#"{"alg":"ES256","kid":"ec","zip":"DEF"}"#)),
        ("a header parameter twice", sign(r#"{"alg":"none","alg":"ES256","kid":"ec"}"#)),
        ("a token of another type", sign(r#"{"alg":"ES256","kid":"ec","typ":"logout+jwt"}"#)),
        ("a stranger's signature", stranger.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string())),
        ("no signature", format!("{header}.{body}.")),
        ("no signature and no dot", format!("{header}.{body}")),
        ("changed claims", format!("{header}.{changed}.{signature}")),
        ("a flipped bit", format!("{header}.{body}.{}", b64(&flipped))),
        ("a signature of zeros (CVE-2022-21449)", format!("{header}.{body}.{}", b64(&[0; 64]))),
        (
            "a signature with r of zero",
            format!("{header}.{body}.{}", b64(&[&[0; 32][..], &whole[32..]].concat())),
        ),
        (
            "a signature with s of zero",
            format!("{header}.{body}.{}", b64(&[&whole[..32], &[0; 32]].concat())),
        ),
        ("r and s of the group's order", format!("{header}.{body}.{}", b64(&[ORDER, ORDER].concat()))),
        ("s beyond the order", format!("{header}.{body}.{}", b64(&[&whole[..32], &[0xff; 32]].concat()))),
        ("a signature in DER", format!("{header}.{body}.{}", b64(&der(&whole)))),
        (
            "a signature with zeros before",
            format!("{header}.{body}.{}", b64(&[&[0][..], &whole[..]].concat())),
        ),
        ("a signature that is cut", format!("{header}.{body}.{}", b64(&flipped[..63]))),
        ("a signature with more behind", format!("{header}.{body}.{}", b64(&[&flipped[..], b"x"].concat()))),
        ("padding", format!("{header}.{body}.{signature}=")),
        ("base64 that is not for URLs", format!("{header}.{body}.{}+/", &signature[..signature.len() - 2])),
        ("bits left over", format!("{header}.{body}.{}", left_over(signature))),
        ("a line break", format!("{header}.{body}\n.{signature}")),
        ("a space", format!("{header}.{body}.{signature} ")),
        (
            "JSON serialization",
            json!({"payload": body, "protected": header, "signature": signature}).to_string(),
        ),
        ("an encrypted token", format!("{header}.{body}.{signature}.a.b")),
        ("empty parts", "..".to_owned()),
        ("nothing", String::new()),
        (
            "too long",
            issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &json!({"x": "x".repeat(4_096)}).to_string()),
        ),
    ]
}

/// Of P-256 (SEC 2 section 2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A signature as X.509 has it, and JWS has not (RFC 7518 section 3.4).
fn der(signature: &[u8]) -> Vec<u8> {
    let number = |part: &[u8]| [&[2, 33, 0][..], part].concat();
    let (r, s) = (number(&signature[..32]), number(&signature[32..]));
    [&[0x30, (r.len() + s.len()) as u8][..], &r, &s].concat()
}

#[test]
fn a_curve_is_used_by_its_own_algorithm_alone() {
    use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
    let (issuer, mut rules) = (Issuer::new(), rules());
    rules.algorithms.push(Algorithm::Es384);
    let long = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = long.public_key().as_ref();
    let (x, y) = (b64(&point[1..49]), b64(&point[49..]));
    let key = json!({"kty": "EC", "crv": "P-384", "kid": "long", "x": x, "y": y});
    let keys = json!({"keys": [key, issuer.ec_jwk()]});
    let keys = KeySet::parse(keys.to_string().as_bytes(), &rules.algorithms).unwrap();
    let sign = |alg: &str, kid: &str| {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims().to_string().as_bytes()));
        let signature = long.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature.as_ref()))
    };
    assert!(passes(&sign("ES384", "long"), &keys, &rules));
    for (alg, kid) in
        [("ES256", "long"), ("ES384", "ec"), ("ES256", "ec"), ("ES512", "long"), ("RS256", "long")]
    {
        assert!(!passes(&sign(alg, kid), &keys, &rules), "{alg} {kid}");
    }
    let short = issuer.sign(r#"{"alg":"ES256","kid":"long"}"#, &claims().to_string());
    assert!(!passes(&short, &keys, &rules), "a key of another curve");
}

/// The same bytes for a careless reader: the last letter with a bit that no byte has.
fn left_over(signature: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(signature.chars().last().unwrap()).unwrap();
    format!("{}{}", &signature[..signature.len() - 1], &alphabet[at + 1..at + 2])
}

#[test]
fn every_class_of_attack_is_refused() {
    let (issuer, rules) = (Issuer::new(), rules());
    let mut all = issuer.keys(&rules);
    assert!(passes(&issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string()), &all, &rules));
    let two = json!({"keys": [issuer.rsa_jwk(), Issuer::new().rsa_jwk(), issuer.ec_jwk(), issuer.ed_jwk()]});
    all = KeySet::parse(two.to_string().as_bytes(), &rules.algorithms).unwrap();
    for (attack, token) in attacks(&issuer) {
        assert!(!passes(&token, &all, &rules), "{attack} passed");
    }
}

#[test]
fn claims_must_hold_now_for_us_and_from_the_issuer() {
    let (issuer, rules) = (Issuer::new(), rules());
    let keys = issuer.keys(&rules);
    let with = |change: Value| {
        let mut claims = claims();
        change.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims.as_object_mut().unwrap().retain(|_, value| *value != json!("absent"));
        passes(&issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims.to_string()), &keys, &rules)
    };
    for good in [
        json!({}),
        json!({"exp": NOW - 59}),
        json!({"nbf": NOW + 60}),
        json!({"aud": ["other", "cart"]}),
        json!({"iat": "absent"}),
        json!({"exp": NOW as f64 + 0.5}),
    ] {
        assert!(with(good.clone()), "{good}");
    }
    for bad in [
        json!({"exp": NOW - 60}),
        json!({"exp": "absent"}),
        json!({"exp": (NOW + 300).to_string()}),
        json!({"exp": null}),
        json!({"exp": -1}),
        json!({"nbf": NOW + 61}),
        json!({"nbf": "soon"}),
        json!({"iat": NOW + 61}),
        json!({"iss": "https://idp.example/"}),
        json!({"iss": "absent"}),
        json!({"iss": ["https://idp.example"]}),
        json!({"aud": "absent"}),
        json!({"aud": "SHOP"}),
        json!({"aud": []}),
        json!({"aud": ["shop", 1]}),
        json!({"aud": {"shop": true}}),
    ] {
        assert!(!with(bad.clone()), "{bad} passed");
    }
    for text in [
        r#"{"iss":"https://idp.example","aud":"shop","sub":"a","exp":1,"exp":9999999999}"#,
        r#"{"iss":"https://idp.example","aud":"shop","sub":"a","exp":1e400}"#,
        r#"["iss"]"#,
        "",
        "{",
    ] {
        assert!(!passes(&issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, text), &keys, &rules), "{text} passed");
    }
}

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
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "ES384"}),
        json!({"kid": "other"}),
        json!({"kty": "RSA"}),
        json!({"crv": "P-384"}),
        // Not on the curve.
        json!({"y": b64(&[7; 32])}),
        json!({"x": b64(&[0; 33])}),
    ] {
        assert!(!with(bad.clone()), "{bad}");
    }
    let weak = json!({"keys": [{"kty": "RSA", "n": b64(&[0xff; 128]), "e": "AQAB"}]}).to_string();
    assert!(KeySet::parse(weak.as_bytes(), &rules.algorithms).is_err(), "1024 bits are too few");
    for none in [r#"{"keys":[]}"#, "{}", "[]", r#"{"keys":[],"keys":[]}"#, "x"] {
        assert!(KeySet::parse(none.as_bytes(), &rules.algorithms).is_err(), "{none}");
    }
}
