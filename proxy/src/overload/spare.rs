//! What is done with connections when there is no descriptor left to accept them with.

use std::fs::File;
use std::io;

use futures_util::FutureExt;
use nix::errno::Errno;
use tokio::net::TcpListener;

/// Connections turned away in one go; then others have their turn.
const AT_ONCE: u64 = 64;

/// Whether the system has no descriptor left, for this process or at all.
pub(crate) fn is_exhausted(why: &io::Error) -> bool {
    why.raw_os_error().is_some_and(|code| [Errno::EMFILE as i32, Errno::ENFILE as i32].contains(&code))
}

/// A descriptor that is kept for the moment in which there is no other.
#[derive(Debug)]
pub(crate) struct Spare(Option<File>);

impl Spare {
    pub(crate) fn new() -> Self {
        Self(open())
    }

    /// Takes what waits, in place of the spare descriptor, and closes it; how many there were. A
    /// connection that is closed can be tried elsewhere, one that waits to be accepted only hangs.
    pub(crate) fn turn_away(&mut self, listener: &TcpListener) -> u64 {
        self.0 = None;
        let mut turned_away = 0;
        while turned_away < AT_ONCE {
            match listener.accept().now_or_never() {
                Some(Ok(closed)) => drop(closed),
                Some(Err(_)) | None => break,
            }
            turned_away += 1;
        }
        self.0 = open();
        turned_away
    }
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}
