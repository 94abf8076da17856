//! The recordings that can be tried on: those in `DATA_DIR/recordings`, and the one being written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recording::RecordingPlan;

/// The folder under the data directory.
pub const FOLDER: &str = "recordings";
/// The most that are named.
const MAX_NAMED: usize = 200;

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingFile {
    /// Its name.
    pub name: String,
    /// Its size as it lies there, bytes.
    pub bytes: u64,
    /// When it was last written to, milliseconds since the epoch.
    pub changed_ms: i64,
}

/// Where recordings lie.
#[derive(Debug, Default)]
pub struct Shelf {
    folder: PathBuf,
    written: OnceLock<RecordingPlan>,
}

impl Shelf {
    /// The recordings of this data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER), written: OnceLock::new() }
    }

    /// Also those that are being written, wherever they are.
    pub fn offer(&self, plan: RecordingPlan) {
        let _ = self.written.set(plan);
    }

    /// What is there, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<RecordingFile> {
        let mut found: Vec<RecordingFile> = self.paths().iter().filter_map(|path| described(path)).collect();
        found.sort_by(|a, b| (b.changed_ms, &a.name).cmp(&(a.changed_ms, &b.name)));
        found.dedup_by(|a, b| a.name == b.name);
        found.truncate(MAX_NAMED);
        found
    }

    /// Opens the recording of that name, which is never a path.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<File>> {
        let found = self.paths().into_iter().find(|path| file_name(path).as_deref() == Some(name));
        found.map(File::open).transpose()
    }

    fn paths(&self) -> Vec<PathBuf> {
        let written = self.written.get().map(RecordingPlan::files).unwrap_or_default();
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let kept = entries.map(|entry| entry.path()).filter(|path| is_recording(path));
        written.into_iter().chain(kept).collect()
    }
}

/// `x.jsonl`, `x.jsonl.3`, `x.jsonl.zst`, `x.jsonl.3.zst`.
fn is_recording(path: &Path) -> bool {
    path.is_file() && file_name(path).is_some_and(|name| name.contains(".jsonl"))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn described(path: &Path) -> Option<RecordingFile> {
    let of = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let changed = of.modified().unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH).ok()?;
    let changed_ms = i64::try_from(changed.as_millis()).unwrap_or(i64::MAX);
    Some(RecordingFile { name: file_name(path)?, bytes: of.len(), changed_ms })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_found_by_name_alone_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("night.jsonl"), "{}\n").unwrap();
        std::fs::write(folder.join("api.token"), "secret").unwrap();
        std::fs::write(dir.path().join("api.jsonl"), "elsewhere").unwrap();
        std::fs::write(dir.path().join("live.jsonl.1"), "written").unwrap();
        let shelf = Shelf::new(dir.path());
        shelf.offer(RecordingPlan { path: dir.path().join("live.jsonl"), max_bytes: 1, keep: 3 });
        let mut names: Vec<String> = shelf.list().into_iter().map(|of| of.name).collect();
        names.sort();
        assert_eq!(names, ["live.jsonl.1", "night.jsonl"]);
        for stranger in ["../api.jsonl", "api.token", "", "recordings/night.jsonl"] {
            assert!(shelf.open(stranger).unwrap().is_none(), "{stranger}");
        }
        assert!(shelf.open("night.jsonl").unwrap().is_some());
        assert!(Shelf::default().list().is_empty());
    }
}
