//! A set of public keys (RFC 7517), read so that a key can be used only for what it says it is for.

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::{roca, strict_json};

/// The largest set that is read.
pub const MAX_JWKS_BYTES: usize = 256 * 1_024;
/// The most keys of a set; those after them are left out.
const MAX_KEYS: usize = 128;

/// Public keys, each with what it may verify.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    fits: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Why a token's key was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The set has none of this id: it may have been made since.
    Unknown,
    /// The signature is not that of the key.
    WrongSignature,
}

impl KeySet {
    /// The keys of a document that `allowed` algorithms can use. Keys that cannot be used are left out, as
    /// RFC 7517 section 5 wants it: symmetric ones, those for encryption, curves that are not known.
    ///
    /// # Errors
    /// It is no set of keys, or none of them can be used.
    pub fn parse(text: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        if text.len() > MAX_JWKS_BYTES {
            return Err(format!("it is larger than {MAX_JWKS_BYTES} bytes"));
        }
        let document =
            strict_json::object(text).ok_or("it is no JSON object, or a name comes twice in it")?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("it has no array \"keys\"")?;
        let keys = keys.iter().filter_map(Value::as_object).take(MAX_KEYS);
        let keys: Vec<Key> = keys.filter_map(|key| Key::read(key, allowed)).collect();
        if keys.is_empty() {
            return Err("it has no key that the algorithms can use".to_owned());
        }
        Ok(Self(keys))
    }

    /// Whether `signature` over `message` is that of the key `id`, or without an id of the one key alone that
    /// `algorithm` can use. Where several could be meant, none is: nobody can say which of them was to count.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), NoKey> {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let fits = self.0.iter().filter(named).flat_map(|key| &key.fits);
        let mut fits = fits.filter(|(of, _)| *of == algorithm).map(|(_, key)| key);
        let (Some(key), None) = (fits.next(), fits.next()) else { return Err(NoKey::Unknown) };
        key.verify_sig(message, signature).map_err(|_| NoKey::WrongSignature)
    }
}

impl Key {
    fn read(key: &Map<String, Value>, allowed: &[Algorithm]) -> Option<Self> {
        // What is there and cannot be read is not what is absent.
        let signs = key.get("use").is_none_or(|purpose| purpose == "sig");
        let verify = |all: &Value| all.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
        let verifies = key.get("key_ops").is_none_or(verify);
        // A key that was published with its private half is anyone's.
        if !signs || !verifies || key.contains_key("d") {
            return None;
        }
        let id = key.get("kid").map(|id| id.as_str().map(str::to_owned).ok_or(())).transpose().ok()?;
        let may = |algorithm: &&Algorithm| key.get("alg").is_none_or(|only| only == algorithm.name());
        let fits = allowed.iter().filter(may);
        let fits: Vec<_> =
            fits.filter_map(|algorithm| Some((*algorithm, public(key, *algorithm)?))).collect();
        (!fits.is_empty()).then_some(Self { id, fits })
    }
}

fn public(key: &Map<String, Value>, algorithm: Algorithm) -> Option<ParsedPublicKey> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if let Some(parameters) = algorithm.rsa() {
        let (n, e) = (bytes("n")?, bytes("e")?);
        return (text("kty") == Some("RSA") && is_hard(&n, &e))
            .then(|| RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok())?;
    }
    let (curve, length, verifier) = algorithm.curve()?;
    let x = bytes("x").filter(|x| x.len() == length && text("crv") == Some(curve))?;
    if algorithm == Algorithm::EdDsa {
        return (text("kty") == Some("OKP")).then(|| ParsedPublicKey::new(verifier, x).ok())?;
    }
    let y = bytes("y").filter(|y| y.len() == length && text("kty") == Some("EC"))?;
    // SEC 1: an uncompressed point; that it lies on the curve is checked here.
    ParsedPublicKey::new(verifier, [&[4][..], &x, &y].concat()).ok()
}

/// Whether an RSA key has the length that is asked of signatures, and a private half that its numbers do not give away.
fn is_hard(modulus: &[u8], exponent: &[u8]) -> bool {
    let (modulus, exponent) = (significant(modulus), significant(exponent));
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let length = (256..=1_024).contains(&modulus.len()) && (1..=4).contains(&exponent.len());
    length && odd(modulus) && odd(exponent) && exponent != [1] && !roca::has_fingerprint(modulus)
}

/// Without the zeros before.
fn significant(number: &[u8]) -> &[u8] {
    number.get(number.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default()
}
