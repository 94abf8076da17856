//! Where the settings come from: a file and the command line, or the defaults and the command line.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use protocol::document::{Document, MAX_DOCUMENT_BYTES, Report};

use crate::settings::SAMPLE;
use crate::settings::{Given, MAX_SECURITY_FILE_BYTES, Settings};
use crate::tls::MAX_PEM_BYTES;

/// Asked at the start, and again with every reload.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file; absent: what `generate-config` writes.
    pub path: Option<PathBuf>,
    /// What the file does not say.
    pub given: Given,
}

/// Which files hold what, by a hash; one that cannot be read holds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Option<[u8; 32]>)>);

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum NoSettings {
    /// The file cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the file system says.
        why: std::io::Error,
    },
    /// It is wrong.
    #[error(transparent)]
    Wrong(#[from] Report),
}

impl Source {
    /// What holds now.
    ///
    /// # Errors
    /// [`NoSettings`], with everything that is wrong.
    pub fn settings(&self) -> Result<Arc<Settings>, NoSettings> {
        let (name, text) = match &self.path {
            Some(path) => (path.display().to_string(), read(path)?),
            None => ("built-in defaults".to_owned(), SAMPLE.to_owned()),
        };
        let document = Document::parse(&name, &text)?;
        Ok(Arc::new(Settings::from_document(&document, &self.given)?))
    }

    /// The files that `settings` were made of: their own, certificates and their keys, whom to trust, and
    /// what was revoked.
    #[must_use]
    pub fn files(&self, settings: &Settings) -> Vec<PathBuf> {
        let listeners = settings.server.tls.iter().chain(&settings.admin.tls);
        let tls = listeners.flat_map(|tls| {
            let judged_by =
                tls.client_auth.iter().flat_map(|files| [Some(&files.bundle), files.lists.as_ref()]);
            [Some(&tls.certificate), Some(&tls.key)].into_iter().chain(judged_by).flatten()
        });
        let transports = settings.services.values().filter_map(|service| service.transport.tls.as_ref());
        let upstream = transports.flat_map(|tls| {
            let own = tls.own.iter().flat_map(|(certificate, key)| [certificate, key]);
            tls.trusted.iter().chain(&tls.lists).chain(own)
        });
        let mut files: Vec<PathBuf> = self.path.iter().chain(tls).chain(upstream).cloned().collect();
        files.extend(settings.security.files.iter().cloned());
        // Services share their files: each is read once.
        let mut seen = HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }

    /// What [`Self::files`] hold now.
    #[must_use]
    pub fn fingerprint(&self, settings: &Settings) -> Fingerprint {
        let hash = |path: PathBuf| {
            let hash = hash_of(&path);
            (path, hash)
        };
        Fingerprint(self.files(settings).into_iter().map(hash).collect())
    }
}

/// Read no further than any of these files may be long.
fn hash_of(path: &PathBuf) -> Option<[u8; 32]> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let most = MAX_DOCUMENT_BYTES.max(MAX_PEM_BYTES).max(MAX_SECURITY_FILE_BYTES) as u64;
    std::fs::File::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    Some(Sha256::digest(&bytes).into())
}

/// The file's text; one byte over the largest document is enough to have it refused as too large.
fn read(path: &PathBuf) -> Result<String, NoSettings> {
    use std::io::Read;
    let unreadable = |why| NoSettings::Unreadable { path: path.display().to_string(), why };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
