//! The thread that writes: a bounded channel in, one file out.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::observability::record::Record;
use crate::settings::LogTarget;

/// Bytes gathered before they are written, at most, while more lines wait.
const BATCH_BYTES: usize = 64 * 1024;
/// Between two looks whether the file was moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A line to be written.
#[derive(Debug)]
pub struct LogEntry {
    /// Of what.
    pub record: Arc<Record>,
    /// How: the configuration may change between two lines.
    pub layout: Arc<crate::settings::AccessLog>,
}

#[derive(Debug)]
enum Message {
    Entry(LogEntry),
    /// Everything before is to be written, and this then told.
    Flush(SyncSender<()>),
}

/// What became of lines since the start.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Written.
    pub written: AtomicU64,
    /// Found no room, or could not be written.
    pub dropped: AtomicU64,
    reopen: AtomicBool,
}

/// Where workers leave their records.
#[derive(Debug, Clone)]
pub struct LogSender {
    sender: SyncSender<Message>,
    counts: Arc<LogCounts>,
}

impl LogSender {
    /// Leaves a line to be written; never waits.
    pub fn send(&self, entry: LogEntry) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.sender.try_send(Message::Entry(entry))
        {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file again before the next line.
    pub fn reopen(&self) {
        self.counts.reopen.store(true, Ordering::Relaxed);
    }

    /// What became of lines.
    #[must_use]
    pub fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// Waits until what was left before is written, for at most `within`. Blocks.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let (done, told) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            match self.sender.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < until => message = back,
                Err(_) => return false,
            }
            thread::sleep(Duration::from_millis(5));
        }
        told.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// See the module.
#[derive(Debug)]
pub struct AccessLogWriter {
    target: LogTarget,
    out: Out,
    looked: Instant,
    batch: Vec<u8>,
    lines: u64,
    counts: Arc<LogCounts>,
}

#[derive(Debug)]
enum Out {
    Stdout,
    Stderr,
    File(File),
}

impl AccessLogWriter {
    /// Opens `target` and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened, or there is no thread.
    pub fn start(target: LogTarget, queue: usize) -> io::Result<LogSender> {
        let (sender, receiver) = sync_channel(queue);
        let counts = Arc::new(LogCounts::default());
        let out = Out::open(&target)?;
        let mut writer = Self {
            target,
            out,
            looked: Instant::now(),
            batch: Vec::with_capacity(BATCH_BYTES),
            lines: 0,
            counts: Arc::clone(&counts),
        };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(LogSender { sender, counts })
    }

    /// Until the last sender is gone. Lines that wait together are written together.
    fn run(&mut self, receiver: &Receiver<Message>) {
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {
                    self.look_after_file();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(message) = receiver.try_recv() {
                self.take(message);
            }
            self.write();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Entry(entry) => {
                entry.layout.layout.write(&entry.record, &mut self.batch);
                self.lines += 1;
                if self.batch.len() >= BATCH_BYTES {
                    self.write();
                }
            }
            Message::Flush(done) => {
                self.write();
                // Whoever asked may have stopped waiting.
                let _ = done.try_send(());
            }
        }
    }

    fn write(&mut self) {
        self.look_after_file();
        let written = self.out.write(&self.batch);
        let count = if written.is_ok() { &self.counts.written } else { &self.counts.dropped };
        count.fetch_add(self.lines, Ordering::Relaxed);
        self.batch.clear();
        self.lines = 0;
    }

    /// Opens it again where that was asked for, or it is no longer at its place. If that fails, the one
    /// that is open stays.
    fn look_after_file(&mut self) {
        let asked = self.counts.reopen.swap(false, Ordering::Relaxed);
        let due = self.looked.elapsed() >= LOOK_EVERY;
        if !(asked || due) {
            return;
        }
        self.looked = Instant::now();
        let (LogTarget::File(path), Out::File(file)) = (&self.target, &self.out) else { return };
        if asked || !is_at(file, path) {
            match Out::open(&self.target) {
                Ok(out) => self.out = out,
                Err(why) => {
                    tracing::warn!("the access log {} cannot be opened again: {why}", path.display());
                }
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

impl Out {
    fn open(target: &LogTarget) -> io::Result<Self> {
        Ok(match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            // Appending, so that a copy of this process in a hand-over does not overwrite.
            LogTarget::File(path) => {
                Self::File(OpenOptions::new().append(true).create(true).mode(0o640).open(path)?)
            }
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(file) => file.write_all(lines),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::observability::access_log::{Field, Layout};
    use crate::observability::trace::Ratio;
    use http::{HeaderValue, Request};

    const SOON: Duration = Duration::from_secs(10);

    fn entry(path: &str) -> LogEntry {
        let request = Request::builder().uri(path).body(()).unwrap().into_parts().0;
        let id = HeaderValue::from_static("i");
        let layout = crate::settings::AccessLog {
            target: LogTarget::Stdout,
            layout: Layout::json(vec![Field::Path], Vec::new()),
            sample: Ratio::new(1.0),
            errors: true,
            queue: 8,
        };
        LogEntry {
            record: Arc::new(Record::of(&request, [127, 0, 0, 1].into(), &id)),
            layout: Arc::new(layout),
        }
    }

    #[test]
    fn a_file_that_was_moved_is_opened_again_and_no_line_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
        let log = AccessLogWriter::start(LogTarget::File(path.clone()), 64).unwrap();
        log.send(entry("/before"));
        assert!(log.flush(SOON));
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.send(entry("/after"));
        assert!(log.flush(SOON));
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "{\"path\":\"/before\"}\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"path\":\"/after\"}\n");
        assert_eq!(log.counts().written.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_writer_that_is_stuck_loses_lines_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Opened for reading too, so that opening does not wait; nobody reads.
        let _held = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let log = AccessLogWriter::start(LogTarget::File(path), 4).unwrap();
        let long = format!("/{}", "x".repeat(4_000));
        let full = (0..1_000).any(|_| {
            log.send(entry(&long));
            !log.flush(Duration::from_millis(50))
        });
        let started = Instant::now();
        (0..100).for_each(|_| log.send(entry(&long)));
        assert!(full && started.elapsed() < SOON);
        assert!(log.counts().dropped.load(Ordering::Relaxed) > 50);
    }
}
