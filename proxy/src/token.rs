//! The bearer token that writes on the admin listener need: a file with one bare token.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use trust::secret::text_elsewhere;
use zeroize::Zeroizing;

use crate::durable;

/// The longest token file that is read, bytes.
const MAX_BYTES: u64 = 4_096;
/// The shortest token that is taken, bytes.
const MIN_BYTES: usize = 16;

/// A token; it never appears in logs.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("the token file {} {why}", .path.display())]
pub struct NoToken {
    path: PathBuf,
    why: String,
}

impl Token {
    /// The token in the file at `path`; where there is no file, one is made (0600, 32 random bytes, hex).
    /// The flag says whether it was made.
    ///
    /// # Errors
    /// When the file can be neither read nor made, or holds nothing fit to be a token.
    pub fn load_or_make(path: &Path) -> Result<(Self, bool), NoToken> {
        let fail = |why: String| NoToken { path: path.to_owned(), why };
        if let Some(found) = text_elsewhere(path) {
            return found.and_then(|text| Self::parse(&text)).map(|token| (token, false)).map_err(fail);
        }
        match fs::metadata(path) {
            Ok(meta) if meta.len() > MAX_BYTES => Err(fail(format!("is longer than {MAX_BYTES} bytes"))),
            Ok(meta) => {
                if meta.permissions().mode() & 0o077 != 0 {
                    let path = path.display();
                    tracing::warn!("others may read the token file {path}; chmod 600 it");
                }
                let text = fs::read_to_string(path).map_err(|why| fail(format!("cannot be read: {why}")))?;
                Self::parse(&text).map(|token| (token, false)).map_err(fail)
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                let token = Self::random().map_err(fail)?;
                let line = Zeroizing::new(format!("{}\n", *token.0));
                durable::write(path, line.as_bytes())
                    .map_err(|why| fail(format!("cannot be made: {why}")))?;
                Ok((token, true))
            }
            Err(why) => Err(fail(format!("cannot be read: {why}"))),
        }
    }

    fn random() -> Result<Self, String> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|why| format!("cannot be made without randomness: {why}"))?;
        Ok(Self(Zeroizing::new(hex::encode(bytes))))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if token.len() < MIN_BYTES || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("must hold one token of at least {MIN_BYTES} printable characters"));
        }
        Ok(Self(Zeroizing::new(token.to_owned())))
    }

    /// A key for another purpose, from which the token cannot be found.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> [u8; 32] {
        Sha256::new_with_prefix(purpose).chain_update([0]).chain_update(self.0.as_bytes()).finalize().into()
    }

    /// Whether an `Authorization` header's value shows this token. The time it takes does not depend
    /// on where the two differ.
    #[must_use]
    pub fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let (scheme, shown) = authorization.split_at(authorization.len().min(7));
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(shown.trim_ascii().ct_eq(self.0.as_bytes()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_for_the_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/token");
        let (made, was_made) = Token::load_or_make(&path).unwrap();
        let (read, again) = Token::load_or_make(&path).unwrap();
        assert!(was_made && !again);
        assert_eq!(*made.0, *read.0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_the_whole_token_as_a_bearer_opens() {
        let token = Token::parse("0123456789abcdef").unwrap();
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        assert!(token.is_shown_by(b"bearer 0123456789abcdef"));
        for bad in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!token.is_shown_by(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn an_empty_or_short_token_file_is_refused_and_not_replaced() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Token::load_or_make(file.path()).is_err());
        fs::write(file.path(), "short").unwrap();
        assert!(Token::load_or_make(file.path()).is_err());
    }
}
