//! Who signs, and what is wanted of it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::json;

use super::*;

pub(super) const NOW: u64 = 1_800_000_000;

pub(super) struct Issuer {
    pub(super) rsa: RsaKeyPair,
    pub(super) ec: EcdsaKeyPair,
    pub(super) ed: Ed25519KeyPair,
}

impl Issuer {
    pub(super) fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn rsa_jwk(&self) -> Value {
        // RFC 8017: SEQUENCE { INTEGER n, INTEGER e } of a key of 2048 bits.
        let der = self.rsa.public_key().as_ref();
        let (n, e) = (&der[9..265], &der[267..270]);
        json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(n), "e": b64(e)})
    }

    pub(super) fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])})
    }

    pub(super) fn ed_jwk(&self) -> Value {
        let x = b64(self.ed.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": x})
    }

    pub(super) fn keys(&self, rules: &Rules) -> KeySet {
        let set = json!({"keys": [self.rsa_jwk(), self.ec_jwk(), self.ed_jwk()]});
        KeySet::parse(set.to_string().as_bytes(), &rules.algorithms).unwrap()
    }

    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
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

pub(super) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn rules() -> Rules {
    Rules {
        issuer: "https://idp.example".to_owned(),
        audiences: vec!["shop".to_owned(), "cart".to_owned()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa],
        skew: 60,
        max_bytes: 4_096,
    }
}

pub(super) fn claims() -> Value {
    json!({"iss": "https://idp.example", "aud": "shop", "sub": "alice", "exp": NOW + 300, "iat": NOW})
}

pub(super) fn passes(token: &str, keys: &KeySet, rules: &Rules) -> bool {
    let token = Unverified::parse(token, rules);
    let claims = token.and_then(|token| token.verified(keys).ok().flatten());
    claims.is_some_and(|claims| rules.take(&claims, NOW))
}
