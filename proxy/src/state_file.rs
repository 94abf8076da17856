//! What survives a restart: the highest epoch seen, whether an operator has frozen the proxy, and which
//! versions were promoted.
//!
//! Leases do not: a restarted proxy starts with none. A file that cannot be understood stops the start,
//! because epoch 0 would let a brain that was replaced act again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::id::{Epoch, ServiceName};
use serde::{Deserialize, Serialize};

use crate::durable;

/// The file's format.
const FORMAT: u32 = 1;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// Whether actions are refused.
    pub frozen: bool,
    /// The versions that completed canaries or people have made the stable ones.
    pub promotions: Promotions,
}

/// By service.
pub type Promotions = BTreeMap<ServiceName, Promotion>;

/// A version that gets all of its service's traffic, whatever the configuration's weights say, until another
/// one is promoted or it is rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Which.
    pub version: String,
    /// The one promoted before it, to which a rollback returns; absent: the configuration's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    epoch: Epoch,
    frozen: bool,
    // Absent where there is none: an older build reads that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    promotions: Promotions,
}

/// Why the state cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state file {} {why}", .path.display())]
pub struct BadState {
    path: PathBuf,
    why: String,
}

/// The file.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file at `path` and what it holds; made where there is none, so that a place that cannot be
    /// written is found at the start and not with the first action.
    ///
    /// # Errors
    /// When it holds something else, or can be neither read nor written.
    pub fn open(path: &Path) -> Result<(Self, Persisted), BadState> {
        let file = Self { path: path.to_owned() };
        let held = match fs::read(path) {
            Ok(bytes) => file.parse(&bytes)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => Persisted::default(),
            Err(why) => return Err(file.bad(format!("cannot be read: {why}"))),
        };
        file.write(&held)?;
        Ok((file, held))
    }

    /// Replaces what it holds; done when this returns.
    ///
    /// # Errors
    /// What the file system says; the old content then still holds.
    pub fn write(&self, held: &Persisted) -> Result<(), BadState> {
        let promotions = held.promotions.clone();
        let content = Content { format: FORMAT, epoch: held.epoch, frozen: held.frozen, promotions };
        let text = serde_json::to_vec(&content).map_err(|why| self.bad(why.to_string()))?;
        durable::write(&self.path, &text).map_err(|why| self.bad(format!("cannot be written: {why}")))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Persisted, BadState> {
        let content: Content = serde_json::from_slice(bytes).map_err(|why| {
            self.bad(format!(
                "is damaged ({why}). It keeps the highest epoch seen; restore it, or remove it only when \
                 no older brain is running"
            ))
        })?;
        if content.format != FORMAT {
            let format = content.format;
            return Err(self.bad(format!("has format {format}; this build reads format {FORMAT}")));
        }
        Ok(Persisted { epoch: content.epoch, frozen: content.frozen, promotions: content.promotions })
    }

    fn bad(&self, why: String) -> BadState {
        BadState { path: self.path.clone(), why }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn nine() -> Persisted {
        let promotion = Promotion { version: "v2".into(), before: None };
        let promotions = Promotions::from([(ServiceName::new("cart").unwrap(), promotion)]);
        Persisted { epoch: Epoch(9), frozen: true, promotions }
    }

    #[test]
    fn what_was_written_is_read_by_the_next_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        let (file, fresh) = StateFile::open(&path).unwrap();
        assert_eq!(fresh, Persisted::default());
        file.write(&nine()).unwrap();
        assert_eq!(StateFile::open(&path).unwrap().1, nine());
    }

    #[test]
    fn a_write_that_was_killed_half_way_leaves_the_old_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        StateFile::open(&path).unwrap().0.write(&nine()).unwrap();
        fs::write(folder.path().join(".state.json.1-0.tmp"), "{\"format\":1,\"epo").unwrap();
        assert_eq!(StateFile::open(&path).unwrap().1, nine());
    }

    #[test]
    fn a_damaged_file_is_never_epoch_0() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for damaged in ["", "{", "{\"format\":1,\"epoch\":3}", "{\"format\":2,\"epoch\":3,\"frozen\":false}"]
        {
            fs::write(&path, damaged).unwrap();
            let why = StateFile::open(&path).unwrap_err().to_string();
            assert!(why.contains("state.json"), "{why}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "and it is left as it is");
        }
    }

    #[test]
    fn a_write_that_fails_says_so_and_leaves_the_old_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (file, _) = StateFile::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.write(&nine()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no scraps");
    }
}
