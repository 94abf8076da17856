//! The classes of attack of Wycheproof's JSON-web vectors (json_web_signature, json_web_key) and of RFC 8725,
//! a row each. What passes beside them shows that the rows fail for their own reason.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use issuer::{Issuer, NOW, claims, passes, rules};

mod attacks;
mod issuer;
mod keys;

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
