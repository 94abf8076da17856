//! What a token can be made to say and to be signed by, by somebody who has no key.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA512, RSA_PSS_SHA512, RsaEncoding,
};
use serde_json::json;

use super::issuer::{Issuer, b64, claims, passes, rules};
use super::*;

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

/// The same for what is no JSON Web Signature in its compact form, and for texts that two readers read in two ways
/// (RFC 8725 sections 2.6 and 3.7). Each is signed as it stands.
fn encodings(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let (header, claims) = (r#"{"alg":"ES256","kid":"ec"}"#, claims().to_string());
    let sign = |header: &str, claims: &str| {
        let message = format!("{header}.{claims}");
        let signature = issuer.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature.as_ref()))
    };
    let of_header = |bytes: &[u8]| sign(&b64(bytes), &b64(claims.as_bytes()));
    let of_claims = |bytes: &[u8]| sign(&b64(header.as_bytes()), &b64(bytes));
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let (head, body) = (b64(header.as_bytes()), b64(claims.as_bytes()));
    let good = sign(&head, &body);
    let signature = good.rsplit('.').next().unwrap();
    let inner = issuer.sign(header, &claims);
    // Of 3 bytes nothing is left over; two spaces make it 2 more.
    let longer = b64(format!("{claims}{}", " ".repeat(4 - claims.len() % 3)).as_bytes());
    vec![
        ("no claims", format!("{head}..{signature}")),
        ("no claims and no dot", format!("{head}.{signature}")),
        ("no header", format!(".{body}.{signature}")),
        ("no header and no dot", format!("{body}.{signature}")),
        ("claims alone", body.clone()),
        ("claims between dots", format!(".{body}.")),
        ("an empty part more", format!("{good}.")),
        ("a part more", format!("{good}.foo")),
        ("empty claims that are signed", sign(&head, "")),
        ("a sign that is none of base64", format!("{head}.{body}.?{signature}")),
        ("a sign that is none of base64 in the header, signed", sign(&format!("{head}####"), &body)),
        ("spaces before the claims, signed", sign(&head, &format!("    {body}"))),
        ("padding of the claims, signed", sign(&head, &format!("{longer}="))),
        ("bits left over in the claims, signed", sign(&head, &left_over(&longer))),
        ("a header that is not UTF-8", of_header(b"{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}")),
        ("a header in UTF-16", of_header(&wide(header))),
        ("a header after a byte order mark", of_header(format!("\u{feff}{header}").as_bytes())),
        ("a header that goes on", of_header(format!("{header}{{}}").as_bytes())),
        ("a header that is a list", of_header(format!("[{header}]").as_bytes())),
        ("a header that is nested without end", of_header("[".repeat(3_000).as_bytes())),
        ("alg null", of_header(br#"{"alg":null,"kid":"ec"}"#)),
        ("alg with a space", of_header(br#"{"alg":"ES256 ","kid":"ec"}"#)),
        ("a name written in two ways", of_header(br#"{"alg":"ES256","\u0061lg":"ES256","kid":"ec"}"#)),
        ("an algorithm of encryption", of_header(br#"{"alg":"ECDH-ES","enc":"A256GCM","kid":"ec"}"#)),
        ("claims that are not UTF-8", of_claims(&[claims.as_bytes(), b"\xff"].concat())),
        ("claims in UTF-16", of_claims(&wide(&claims))),
        ("claims that go on", of_claims(format!("{claims}{claims}").as_bytes())),
        ("a token in a token", of_claims(inner.as_bytes())),
        ("a token of an event", of_header(br#"{"alg":"ES256","kid":"ec","typ":"secevent+jwt"}"#)),
        ("a proof of possession", of_header(br#"{"alg":"ES256","kid":"ec","typ":"dpop+jwt"}"#)),
        ("a type that is no text", of_header(br#"{"alg":"ES256","kid":"ec","typ":["JWT"]}"#)),
    ]
}

/// The same for numbers that are no signature, whatever their form.
fn signatures(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let body = b64(claims().to_string().as_bytes());
    let of = |header: &str, signature: &[u8]| format!("{}.{body}.{}", b64(header.as_bytes()), b64(signature));
    let rsa = |header: &str, with: &'static dyn RsaEncoding| {
        let message = format!("{}.{body}", b64(header.as_bytes()));
        let mut signature = vec![0; issuer.rsa.public_modulus_len()];
        issuer.rsa.sign(with, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    };
    let (ec, ed) = (r#"{"alg":"ES256","kid":"ec"}"#, r#"{"alg":"EdDSA","kid":"ed"}"#);
    let (rs, ps) = (r#"{"alg":"RS256","kid":"rsa"}"#, r#"{"alg":"PS256","kid":"rsa"}"#);
    let one = [&[0; 31][..], &[1]].concat();
    let below = [&ORDER[..31], &[ORDER[31] - 1]].concat();
    let edges = [vec![0; 32], one, below, ORDER.to_vec()];
    let pairs = edges.iter().flat_map(|r| edges.iter().map(move |s| [&r[..], s].concat()));
    let mut rows: Vec<_> = pairs.map(|pair| ("r and s at an edge", of(ec, &pair))).collect();
    let whole = issuer.ed.sign(format!("{}.{body}", b64(ed.as_bytes())).as_bytes()).as_ref().to_vec();
    rows.push(("s of Ed25519 beyond the order (RFC 8032 section 5.1.7)", of(ed, &beyond(&whole))));
    rows.push(("zeros for Ed25519", of(ed, &[0; 64])));
    let identity = [&[1][..], &[0; 63]].concat();
    rows.push(("the neutral point for Ed25519", of(ed, &identity)));
    rows.push(("another hash in the padding", of(rs, &rsa(rs, &RSA_PKCS1_SHA512))));
    rows.push(("another hash in PSS", of(ps, &rsa(ps, &RSA_PSS_SHA512))));
    rows.push(("PSS for PKCS #1", of(rs, &rsa(rs, &aws_lc_rs::signature::RSA_PSS_SHA256))));
    for number in [0, 1, 0xff] {
        rows.push(("RSA of a number that is no signature", of(rs, &[&[0; 255][..], &[number]].concat())));
    }
    rows.push(("RSA of all ones", of(rs, &[0xff; 256])));
    rows.push(("RSA with nothing", of(rs, &[])));
    let good = rsa(rs, &aws_lc_rs::signature::RSA_PKCS1_SHA256);
    rows.push(("RSA with a zero before", of(rs, &[&[0][..], &good].concat())));
    rows.push(("RSA with a zero behind", of(rs, &[&good[..], &[0]].concat())));
    rows.push(("RSA cut short", of(rs, &good[..255])));
    rows
}

/// The signature with the order of Ed25519's group added to s: the same for who does not look.
fn beyond(signature: &[u8]) -> Vec<u8> {
    // 2^252 + 27742317777372353535851937790883648493, least significant byte first (RFC 8032 section 5.1).
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut made = signature.to_vec();
    let mut carry = 0;
    for (byte, more) in made[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + more + carry;
        (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
    }
    made
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
    let mut other = Issuer::new().rsa_jwk();
    other["kid"] = "other".into();
    let two = json!({"keys": [issuer.rsa_jwk(), other, issuer.ec_jwk(), issuer.ed_jwk()]});
    all = KeySet::parse(two.to_string().as_bytes(), &rules.algorithms).unwrap();
    let rows = attacks(&issuer).into_iter().chain(encodings(&issuer)).chain(signatures(&issuer));
    for (attack, token) in rows {
        assert!(!passes(&token, &all, &rules), "{attack} passed");
    }
}
