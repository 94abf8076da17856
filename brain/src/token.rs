//! Bearer tokens: made once, kept in a file of their owner, compared in constant time.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use trust::secret::text_elsewhere;
use zeroize::Zeroizing;

/// The longest token that is read.
const MAX_TOKEN_BYTES: u64 = 4_096;

/// A secret. Neither printed nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("token file {path}: {why}")]
pub struct TokenError {
    path: PathBuf,
    why: String,
}

impl TokenError {
    /// Of the file at `path`.
    #[must_use]
    pub fn new(path: &Path, why: &str) -> Self {
        Self { path: path.to_owned(), why: why.to_owned() }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A token given as text; surrounding white space is not part of it.
    ///
    /// # Errors
    /// It is empty, or not one word of visible ASCII.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty; write one bare token into it, or remove it and a new one is made");
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("it does not hold one bare token (visible ASCII, no spaces)");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads the token in `path`.
    ///
    /// # Errors
    /// The file cannot be read or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let error = |why: String| TokenError { path: path.to_owned(), why };
        if let Some(found) = text_elsewhere(path) {
            return found.and_then(|text| Self::new(&text).map_err(str::to_owned)).map_err(error);
        }
        let file = fs::File::open(path).map_err(|why| error(why.to_string()))?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_TOKEN_BYTES).read_to_string(&mut text).map_err(|why| error(why.to_string()))?;
        Self::new(&text).map_err(|why| error(why.to_owned()))
    }

    /// Reads the token in `path`; where there is no file, makes one of 256 random bits that only its
    /// owner may read. The flag says whether it was made.
    ///
    /// # Errors
    /// The file can be neither read nor made.
    pub fn read_or_make(path: &Path) -> Result<(Self, bool), TokenError> {
        let error = |why: String| TokenError { path: path.to_owned(), why };
        if text_elsewhere(path).is_some() {
            return Ok((Self::read(path)?, false));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|why| error(why.to_string()))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match file {
            Ok(file) => file,
            Err(why) if why.kind() == ErrorKind::AlreadyExists => return Ok((Self::read(path)?, false)),
            Err(why) => return Err(error(why.to_string())),
        };
        let token = Self::random().map_err(error)?;
        writeln!(file, "{}", *token.0)
            .and_then(|()| file.sync_all())
            .map_err(|why| error(why.to_string()))?;
        Ok((token, true))
    }

    /// 256 bits from the system.
    ///
    /// # Errors
    /// The system has none.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|why| why.to_string())?;
        Ok(Self(Zeroizing::new(hex::encode(bytes))))
    }

    /// What is kept of it where it is only compared: SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The secret itself, for the one who asked for it to be made.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The value of an `authorization` header that shows it.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", *self.0)
    }

    /// Whether the value of an `authorization` header shows this token. Takes as long for a token that
    /// is nearly right as for one that is wrong; only the length can be told from the time.
    #[must_use]
    pub fn is_shown_by(&self, header: Option<&[u8]>) -> bool {
        let Some((scheme, shown)) = header.and_then(|h| h.split_at_checked("Bearer ".len())) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(self.0.as_bytes()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/api.token");
        let (made, new) = Token::read_or_make(&path).unwrap();
        assert!(new);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::read_or_make(&path).unwrap(), (made, false));
    }

    #[test]
    fn only_the_whole_token_is_shown() {
        let token = Token::new("abcdef\n").unwrap();
        assert!(token.is_shown_by(Some(b"Bearer abcdef")));
        assert!(token.is_shown_by(Some(b"bearer abcdef")));
        for wrong in [&b"Bearer abcde"[..], b"Bearer abcdefg", b"Bearer ", b"Basic abcdef", b"abcdef", b""] {
            assert!(!token.is_shown_by(Some(wrong)), "{wrong:?}");
        }
        assert!(!token.is_shown_by(None));
    }

    #[test]
    fn a_file_without_a_token_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        for text in ["", " \n", "two words"] {
            fs::write(&path, text).unwrap();
            assert!(Token::read(&path).unwrap_err().to_string().contains("token file"));
        }
        assert!(!format!("{:?}", Token::new("secret").unwrap()).contains("secret"));
    }
}
