//! A search for known secrets in all that was told or written.

use std::path::{Path, PathBuf};

/// All files below `folder`.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

/// Fails where one of `secrets` stands in one of `texts`. The last few characters are enough to tell that a part was
/// told.
///
/// # Panics
/// With the text that tells it.
pub fn assert_untold(secrets: &[&str], texts: &[String]) {
    for secret in secrets {
        let tail = secret.get(secret.len().saturating_sub(10)..).unwrap_or(secret);
        let leak = texts.iter().find(|text| text.contains(tail));
        assert!(leak.is_none(), "{secret} in {leak:?}");
    }
}
