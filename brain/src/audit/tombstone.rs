//! What stands in the log for records that were removed: which, how many, up to which hash, signed.
//!
//! Ed25519 (RFC 8032) over the canonical JSON (RFC 8785) of the tombstone without its signature. The key is
//! derived from a secret beside the store: who can change the database alone can forge no tombstone.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use protocol::canonical;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::token::{Token, TokenError};

/// The kind of a record that holds one.
pub(super) const KIND: &str = "tombstone";
const KEY_FILE: &str = "audit.key";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tombstone {
    /// The first record that was removed with it.
    pub first_seq: u64,
    /// The last one: no record up to it is there any more.
    pub through_seq: u64,
    /// How many were removed with it.
    pub records: u64,
    /// When the first of them was written, RFC 3339.
    pub from_at: String,
    /// When the last of them was.
    pub through_at: String,
    /// The hash of the last one: the first that is left follows it.
    pub head: String,
    /// By kind of record: the highest number that the removed ones gave, so that no name is given again.
    pub highest: BTreeMap<String, u64>,
    /// Which rule removed them.
    pub why: String,
    /// Ed25519, hex.
    #[serde(default)]
    pub signature: String,
}

impl Tombstone {
    fn message(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("signature");
        }
        canonical::to_string(&value).into_bytes()
    }
}

/// Signs tombstones.
#[derive(Debug)]
pub struct AuditKey(Ed25519KeyPair);

impl AuditKey {
    /// The key of the log in `data_dir`; one is made where there is none, readable by its owner only.
    ///
    /// # Errors
    /// Its secret can be neither read nor made.
    pub fn read_or_make(data_dir: &Path) -> Result<Self, TokenError> {
        let path = data_dir.join(KEY_FILE);
        let (secret, made) = Token::read_or_make(&path)?;
        if made {
            tracing::info!(path = %path.display(), "made the key that signs what is removed from the audit log");
        }
        Self::of(&secret).ok_or_else(|| TokenError::new(&path, "no key can be derived from it"))
    }

    fn of(secret: &Token) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(&secret.digest()).ok().map(Self)
    }

    /// The tombstone with its signature.
    #[must_use]
    pub fn signed(&self, mut tombstone: Tombstone) -> Tombstone {
        tombstone.signature = hex::encode(self.0.sign(&tombstone.message()));
        tombstone
    }

    /// Its public half.
    #[must_use]
    pub fn seal(&self) -> Seal {
        Seal(self.0.public_key().as_ref().to_vec())
    }
}

/// Tells whether a tombstone is this log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal(Vec<u8>);

impl Seal {
    /// Of the log in `data_dir`, where its key is there.
    #[must_use]
    pub fn of(data_dir: &Path) -> Option<Self> {
        let secret = Token::read(&data_dir.join(KEY_FILE)).ok()?;
        AuditKey::of(&secret).map(|key| key.seal())
    }

    /// Whether the key of this log signed it.
    #[must_use]
    pub fn is_on(&self, tombstone: &Tombstone) -> bool {
        let Ok(signature) = hex::decode(&tombstone.signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&tombstone.message(), &signature).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_on_what_was_signed_and_on_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Seal::of(folder.path()), None);
        let key = AuditKey::read_or_make(folder.path()).unwrap();
        let seal = Seal::of(folder.path()).unwrap();
        assert_eq!(seal, key.seal(), "the same after a restart");
        let signed = key.signed(Tombstone {
            first_seq: 1,
            through_seq: 9,
            records: 9,
            from_at: "2026-01-01T00:00:00.000Z".into(),
            through_at: "2026-01-02T00:00:00.000Z".into(),
            head: "ab".into(),
            highest: BTreeMap::from([("intent".to_owned(), 4)]),
            why: "30 days".into(),
            signature: String::new(),
        });
        assert!(seal.is_on(&signed));
        let changes: [fn(&mut Tombstone); 6] = [
            |t| t.through_seq = 10,
            |t| t.records = 8,
            |t| t.head = "cd".into(),
            |t| t.highest.clear(),
            |t| t.signature.clear(),
            |t| t.signature.replace_range(0..2, "00"),
        ];
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged);
            assert!(!seal.is_on(&forged), "{forged:?}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(!AuditKey::read_or_make(elsewhere.path()).unwrap().seal().is_on(&signed));
    }
}
