//! The Unix socket at which a new process knocks.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Open until dropped; then its name is gone too, unless another door has it by now.
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
    keeps_name: bool,
}

impl Door {
    /// Under a name of its own first: nobody finds it before only its user may open it, and what an
    /// earlier process left under the name is replaced in one step.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _of_an_earlier_process = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        let named = fs::set_permissions(&beside, Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&beside, path))
            .and_then(|()| fs::symlink_metadata(path));
        let named = named.inspect_err(|_| drop(fs::remove_file(&beside)))?;
        let inode = (named.dev(), named.ino());
        Ok(Self { listener, path: path.to_owned(), inode, keeps_name: false })
    }

    /// The next one of the same user, or of root, who knocks.
    pub(super) async fn next(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let (own, peer) = (nix::unistd::geteuid().as_raw(), stream.peer_cred()?.uid());
            if peer == own || peer == 0 {
                return Ok(stream);
            }
            tracing::warn!(peer, "another user asked for the sockets and was turned away");
        }
    }

    /// The name is another's from now on, or will be.
    pub(super) fn leave_name(&mut self) {
        self.keeps_name = true;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let named = fs::symlink_metadata(&self.path).map(|of| (of.dev(), of.ino()));
        if !self.keeps_name && named.is_ok_and(|named| named == self.inode) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_its_user_may_open_it_and_it_goes_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        fs::write(&path, "left behind").unwrap();
        let door = Door::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (knocked, met) = tokio::join!(UnixStream::connect(&path), door.next());
        assert!(knocked.is_ok() && met.is_ok());
        let newer = Door::open(&path).unwrap();
        drop(door);
        assert!(path.exists(), "a newer door keeps its name");
        drop(newer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
