//! API keys, of which only SHA-256 is kept. Keys are random and long, so that a plain hash cannot be turned
//! back; who presents one is compared with all of them, in a time that does not say how close it came.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The most keys of one provider.
pub const MAX_KEYS: usize = 10_000;
/// The longest key that is looked at.
const MAX_KEY_BYTES: usize = 1_024;
/// The largest file of keys that is read.
pub const MAX_KEYS_BYTES: usize = 4 << 20;

/// Who has which key.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(pub Vec<(String, [u8; 32])>);

impl ApiKeys {
    /// Whose key it is.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<&str> {
        if key.len() > MAX_KEY_BYTES {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(key).into();
        let (mut found, mut any) = (0u32, Choice::from(0));
        for (at, (_, known)) in (0u32..).zip(&self.0) {
            let same = known.ct_eq(&hash);
            found = u32::conditional_select(&found, &at, same);
            any |= same;
        }
        let owner = self.0.get(found as usize).map(|(name, _)| name.as_str());
        owner.filter(|_| bool::from(any))
    }
}

/// A hash as it is written.
#[must_use]
pub fn hash(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

/// The keys of a file: a name and the hash of its key a line, `#` begins a comment.
///
/// # Errors
/// The first line that is none, without what it holds.
pub fn parse(text: &str) -> Result<Vec<(String, [u8; 32])>, String> {
    let lines =
        text.lines().enumerate().map(|(n, line)| (n, line.split('#').next().unwrap_or_default().trim()));
    let key = |(n, line): (usize, &str)| {
        let read = line
            .split_once(char::is_whitespace)
            .and_then(|(name, of)| Some((name.to_owned(), hash(of.trim())?)));
        read.ok_or_else(|| format!("line {} is no name and SHA-256 of a key (64 hex digits)", n + 1))
    };
    lines.filter(|(_, line)| !line.is_empty()).map(key).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_nothing_else() {
        let hex = |key: &str| hex::encode(Sha256::digest(key));
        let file = format!("acme {} # their first\n\nbeta\t{}\n", hex("s3cret"), hex("other"));
        let keys = ApiKeys(parse(&file).unwrap());
        assert_eq!((keys.owner(b"s3cret"), keys.owner(b"other")), (Some("acme"), Some("beta")));
        for wrong in ["", "s3cre", "s3cret ", &hex("s3cret"), &"x".repeat(2_000)] {
            assert_eq!(keys.owner(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(ApiKeys::default().owner(b""), None);
        let bad = parse("acme s3cret").unwrap_err();
        assert!(bad.contains("line 1") && !bad.contains("s3cret"), "{bad}");
    }
}
