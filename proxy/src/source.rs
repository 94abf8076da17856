//! Where the settings come from: a file and the command line, or the defaults and the command line.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::document::{Document, MAX_DOCUMENT_BYTES, Report};

use crate::settings::SAMPLE;
use crate::settings::{Given, Settings};

/// Asked at the start, and again with every reload.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file; absent: what `generate-config` writes.
    pub path: Option<PathBuf>,
    /// What the file does not say.
    pub given: Given,
}

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
