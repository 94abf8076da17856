//! The folders in which a change of some files shows.
//!
//! Not the files: editors and `mv` put a new file under the old name, and Kubernetes swaps a symbolic link
//! (`..data`) on the way to it. So every folder is watched in which a step of a file's path is a link, or in
//! which the file itself lies.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Links followed on the way to one file; the kernel allows 40.
const MAX_LINKS: usize = 40;

/// Which file system and which inode: a folder that was made anew is another one.
type Identity = (u64, u64);

/// See the module.
pub(super) struct Folders {
    bell: Arc<Notify>,
    watched: BTreeMap<PathBuf, Identity>,
    watcher: Option<RecommendedWatcher>,
}

impl Folders {
    /// None yet; `bell` is rung when something happens in one.
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        Self { bell, watched: BTreeMap::new(), watcher: None }
    }

    /// Watches the folders of these files, and no others.
    pub(super) fn follow(&mut self, files: &[PathBuf]) {
        let folders = folders_of(files);
        if folders == self.watched {
            return;
        }
        self.watcher = None;
        self.watched = folders;
        match self.watch() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(why) => tracing::warn!("changes of files are found late, by looking now and then: {why}"),
        }
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let bell = Arc::clone(&self.bell);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| may_change_content(event.kind)) {
                bell.notify_one();
            }
        })?;
        for folder in self.watched.keys() {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// Reading is no change; it is what a look does, which would then never end.
fn may_change_content(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn folders_of(files: &[PathBuf]) -> BTreeMap<PathBuf, Identity> {
    let identity = |folder: PathBuf| {
        let of = fs::metadata(&folder).ok()?;
        Some((folder, (of.dev(), of.ino())))
    };
    files.iter().flat_map(|file| on_the_way_to(file)).filter_map(identity).collect()
}

/// The folders of the links on the way to `file`, and its own.
fn on_the_way_to(file: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut at = PathBuf::from(if file.is_absolute() { "/" } else { "." });
    let mut steps: VecDeque<PathBuf> = file.components().map(step).collect();
    let mut links = 0;
    while let Some(next) = steps.pop_front() {
        let whole = at.join(&next);
        let target = fs::read_link(&whole).ok().filter(|_| links < MAX_LINKS);
        if target.is_some() || steps.is_empty() {
            folders.push(at.clone());
        }
        let Some(target) = target else {
            at = whole;
            continue;
        };
        links += 1;
        target.components().rev().map(step).for_each(|step| steps.push_front(step));
    }
    folders
}

fn step(component: Component<'_>) -> PathBuf {
    PathBuf::from(component.as_os_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn the_folders_of_every_link_on_the_way_are_watched() {
        let at = tempfile::tempdir().unwrap();
        let at = at.path().canonicalize().unwrap();
        fs::create_dir_all(at.join("volume/..2024")).unwrap();
        fs::write(at.join("volume/..2024/proxy.yaml"), "a").unwrap();
        symlink("..2024", at.join("volume/..data")).unwrap();
        symlink("..data/proxy.yaml", at.join("volume/proxy.yaml")).unwrap();
        symlink(at.join("volume"), at.join("etc")).unwrap();
        let of = on_the_way_to(&at.join("etc/proxy.yaml"));
        let expected = [at.clone(), at.join("volume"), at.join("volume"), at.join("volume/..2024")];
        assert_eq!(of, expected);
        assert_eq!(on_the_way_to(Path::new("proxy.yaml")), [PathBuf::from(".")]);
    }

    #[test]
    fn a_link_to_itself_ends() {
        let at = tempfile::tempdir().unwrap();
        symlink("loop", at.path().join("loop")).unwrap();
        assert!(on_the_way_to(&at.path().join("loop/file")).len() <= MAX_LINKS + 1);
    }

    #[tokio::test]
    async fn a_file_that_is_moved_in_rings_and_one_that_is_read_does_not() {
        let at = tempfile::tempdir().unwrap();
        let file = at.path().join("proxy.yaml");
        fs::write(&file, "old").unwrap();
        let bell = Arc::new(Notify::new());
        let mut folders = Folders::new(Arc::clone(&bell));
        folders.follow(std::slice::from_ref(&file));
        fs::read(&file).unwrap();
        assert!(timeout(Duration::from_millis(200), bell.notified()).await.is_err());
        fs::write(at.path().join("new"), "new").unwrap();
        fs::rename(at.path().join("new"), &file).unwrap();
        assert!(timeout(Duration::from_secs(5), bell.notified()).await.is_ok());
    }
}
