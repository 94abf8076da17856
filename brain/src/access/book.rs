//! The tokens file: who has a token, in which role, and its digest. Written by `lightsout token`, taken by a
//! running brain within a second or two.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Key, Principal, Role};
use crate::token::Token;

/// In the data directory.
pub const TOKENS_FILE: &str = "tokens.json";
/// The most tokens.
const MAX_TOKENS: usize = 1_024;
/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Why the file is not read or not written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct BookError {
    path: PathBuf,
    why: String,
}

/// One token of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRow {
    /// Names it for `token revoke`.
    pub id: String,
    /// Whose it is, as the audit log calls them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the token, hex.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops counting; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token that was just made: it is nowhere else.
#[derive(Debug)]
pub struct NewToken {
    /// The secret.
    pub token: Token,
    /// What the file keeps of it.
    pub row: TokenRow,
}

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBook {
    /// In the order in which they were made.
    pub tokens: Vec<TokenRow>,
}

impl TokenBook {
    /// The book in `data_dir`; an empty one where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no such book.
    pub fn read(data_dir: &Path) -> Result<Self, BookError> {
        let path = data_dir.join(TOKENS_FILE);
        let error = |why: String| BookError { path: path.clone(), why };
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(MAX_BYTES).read_to_string(&mut text).map_err(|why| error(why.to_string()))?
            }
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(why) => return Err(error(why.to_string())),
        };
        let book: Self = serde_json::from_str(&text).map_err(|why| error(why.to_string()))?;
        book.keys()?;
        Ok(book)
    }

    /// What the doorkeeper compares with.
    ///
    /// # Errors
    /// A digest is none, a name is none, or there are too many.
    pub fn keys(&self) -> Result<Vec<Key>, BookError> {
        let error = |why: String| BookError { path: TOKENS_FILE.into(), why };
        if self.tokens.len() > MAX_TOKENS {
            return Err(error(format!("at most {MAX_TOKENS} tokens")));
        }
        let key = |row: &TokenRow| {
            protocol::id::check_name(&row.name).map_err(|why| error(format!("{}: {why}", row.id)))?;
            let mut digest = [0u8; 32];
            hex::decode_to_slice(&row.sha256, &mut digest)
                .map_err(|_| error(format!("{}: sha256 is no SHA-256 in hex", row.id)))?;
            let who = Principal::new(&row.name, row.role);
            Ok(Key { id: row.id.clone(), digest, who, expires: row.expires_at })
        };
        self.tokens.iter().map(key).collect()
    }

    /// Makes a token; `life` is how long it counts.
    ///
    /// # Errors
    /// The book cannot be read or written, is full, or the name is none.
    pub fn add(
        data_dir: &Path,
        name: &str,
        role: Role,
        life: Option<Duration>,
    ) -> Result<NewToken, BookError> {
        change(data_dir, |book, error| {
            protocol::id::check_name(name).map_err(|why| error(format!("--name: {why}")))?;
            if book.tokens.len() >= MAX_TOKENS {
                return Err(error(format!("it holds {MAX_TOKENS} tokens, and no more fit; revoke some")));
            }
            let token = Token::random().map_err(&error)?;
            let digest = hex::encode(token.digest());
            let created_at = Timestamp::now();
            let life = life.map(|life| SignedDuration::try_from(life).unwrap_or(SignedDuration::MAX));
            let expires_at = life.map(|life| created_at.checked_add(life).unwrap_or(Timestamp::MAX));
            let id = format!("tok-{}", digest.get(..12).unwrap_or_default());
            let row = TokenRow { id, name: name.to_owned(), role, sha256: digest, created_at, expires_at };
            book.tokens.push(row.clone());
            Ok(NewToken { token, row })
        })
    }

    /// Forgets the token `which`, or all of the person `which`; how many those were.
    ///
    /// # Errors
    /// The book cannot be read or written.
    pub fn revoke(data_dir: &Path, which: &str) -> Result<usize, BookError> {
        change(data_dir, |book, _| {
            let before = book.tokens.len();
            book.tokens.retain(|row| row.id != which && row.name != which);
            Ok(before - book.tokens.len())
        })
    }
}

type MakeError<'a> = &'a dyn Fn(String) -> BookError;

/// One change at a time, written whole or not at all.
fn change<T>(
    data_dir: &Path,
    with: impl FnOnce(&mut TokenBook, MakeError<'_>) -> Result<T, BookError>,
) -> Result<T, BookError> {
    let path = data_dir.join(TOKENS_FILE);
    let error = |why: String| BookError { path: path.clone(), why };
    fs::create_dir_all(data_dir).map_err(|why| error(why.to_string()))?;
    let open =
        |path: &Path| OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let lock = open(&path.with_extension("lock")).map_err(|why| error(why.to_string()))?;
    let _turn = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, why)| error(why.to_string()))?;
    let mut book = TokenBook::read(data_dir)?;
    let done = with(&mut book, &error)?;
    let text = serde_json::to_string_pretty(&book).map_err(|why| error(why.to_string()))?;
    let fresh = path.with_extension("new");
    let written = open(&fresh).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    });
    written.map_err(|why| error(why.to_string()))?;
    Ok(done)
}

/// Changes when the file does.
pub(super) fn fingerprint(data_dir: &Path) -> Option<(u64, i64, i64, u64)> {
    let meta = fs::metadata(data_dir.join(TOKENS_FILE)).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_kept_as_its_digest_alone_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let made = TokenBook::add(folder.path(), "ana", Role::Approver, None).unwrap();
        let path = folder.path().join(TOKENS_FILE);
        let text = fs::read_to_string(&path).unwrap();
        let shown = made.token.header();
        assert!(!text.contains(shown.trim_start_matches("Bearer ")), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = TokenBook::read(folder.path()).unwrap().keys().unwrap();
        assert_eq!(
            (keys[0].digest, &keys[0].who),
            (made.token.digest(), &Principal::new("ana", Role::Approver))
        );
    }

    #[test]
    fn a_name_or_an_id_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let ids: Vec<String> = ["ana", "ana", "bob"]
            .iter()
            .map(|name| TokenBook::add(folder.path(), name, Role::Viewer, None).unwrap().row.id)
            .collect();
        assert_eq!(TokenBook::revoke(folder.path(), &ids[2]).unwrap(), 1);
        assert_eq!(TokenBook::revoke(folder.path(), "ana").unwrap(), 2);
        assert_eq!(TokenBook::revoke(folder.path(), "ana").unwrap(), 0);
    }

    #[test]
    fn a_book_that_cannot_be_understood_is_refused_by_name_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TOKENS_FILE);
        for text in
            ["", "[]", r#"{"tokens":[],"more":1}"#, r#"{"tokens":[{"id":"a","name":"ana","role":"king"}]}"#]
        {
            fs::write(&path, text).unwrap();
            let why = TokenBook::add(folder.path(), "ana", Role::Viewer, None).unwrap_err().to_string();
            assert!(why.contains(TOKENS_FILE), "{why}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
