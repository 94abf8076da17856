//! The policies' folder: read whole, watched for changes. A bad file keeps the last good ones.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use protocol::document::{MAX_DOCUMENT_BYTES, Report};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::policies::{Policies, PolicyText};

const POLL: Duration = Duration::from_secs(2);
/// The most files that are read.
const MAX_FILES: usize = 64;

/// Why a folder holds no policies.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The folder or a file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// A file is no policy; every mistake with its place.
    #[error("{0}")]
    Invalid(#[from] Report),
}

/// The policies in `folder`.
///
/// # Errors
/// [`PolicyError`].
pub fn load(folder: &Path) -> Result<Policies, PolicyError> {
    let texts = texts(folder)?;
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Ok(Policies::from_texts(&texts)?)
}

/// The policies in `folder`, or the shipped ones where there is no such folder.
///
/// # Errors
/// The folder is there, but is no policy.
pub fn load_or_shipped(folder: &Path) -> Result<Policies, PolicyError> {
    if folder.exists() { load(folder) } else { Ok(Policies::shipped()?) }
}

/// The texts of the policies in `folder`, with the shipped ones where a file, or the folder, is not there.
///
/// # Errors
/// A file that cannot be read.
pub fn texts_in_force(folder: &Path) -> Result<Vec<PolicyText>, PolicyError> {
    let found = if folder.exists() { texts(folder)? } else { Vec::new() };
    Ok(Policies::texts_among(&found))
}

/// Sends new policies whenever the folder's files change, until `stop` is cancelled.
pub async fn watch(
    folder: PathBuf,
    changed: mpsc::Sender<Policies>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut known = fingerprint(&folder);
    while stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
        let now = fingerprint(&folder);
        if now == known {
            continue;
        }
        known = now;
        match load_or_shipped(&folder) {
            Ok(policies) => {
                tracing::info!(folder = %folder.display(), "policies reloaded");
                if changed.send(policies).await.is_err() {
                    return;
                }
            }
            Err(why) => {
                metrics.policy_reloads_failed.inc();
                tracing::error!("the policies stay as they were; the change does not load:\n{why}");
            }
        }
    }
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> PolicyError {
    |why| PolicyError::Unreadable { path: path.to_owned(), why }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
    files.sort();
    files.truncate(MAX_FILES);
    Ok(files)
}

fn texts(folder: &Path) -> Result<Vec<(String, String)>, PolicyError> {
    let read = |path: PathBuf| {
        let size = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
        if size > MAX_DOCUMENT_BYTES as u64 {
            return Err(unreadable(&path)(std::io::Error::other("the file is too large")));
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        Ok((path.display().to_string(), text))
    };
    files(folder).map_err(unreadable(folder))?.into_iter().map(read).collect()
}

/// Names, sizes and times of the files: what changes when a file does.
fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let of = |path: PathBuf| {
        let data = std::fs::metadata(&path).ok()?;
        Some((path, data.len(), data.modified().ok()))
    };
    files(folder).unwrap_or_default().into_iter().filter_map(of).collect()
}
