//! A recording as it was when the trial began: read twice alike, though it may still be written to, counted
//! while it is read, and ended early when somebody says so.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::replay::unpacked;

/// An open recording, and how far it is read.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    file: Arc<File>,
    bytes: u64,
    read: Arc<AtomicU64>,
    cancel: CancellationToken,
    until: Instant,
}

impl Tape {
    pub(super) fn new(file: File, cancel: CancellationToken, until: Instant) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), bytes, read: Arc::default(), cancel, until })
    }

    /// From the start.
    pub(super) fn play(&self) -> io::Result<impl BufRead> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        let metered = Metered { file: file.take(self.bytes), tape: self.clone() };
        Ok(io::BufReader::new(UntilCut(unpacked(Box::new(metered))?)))
    }

    /// Share of reading it twice that is done.
    pub(super) fn done(&self) -> f64 {
        let all = (2 * self.bytes).max(1) as f64;
        (self.read.load(Ordering::Relaxed) as f64 / all).min(1.0)
    }
}

struct Metered {
    file: io::Take<File>,
    tape: Tape,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.tape.cancel.is_cancelled() {
            return Err(io::Error::other("it was cancelled"));
        }
        if Instant::now() >= self.tape.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the recording is too long to try"));
        }
        let read = self.file.read(into)?;
        self.tape.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A packed recording that is still written to, or whose brain was killed, has no proper end: what is there counts.
struct UntilCut<R>(R);

impl<R: Read> Read for UntilCut<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into) {
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::time::Duration;

    fn tape(bytes: &[u8], cancel: &CancellationToken) -> (Tape, tempfile::NamedTempFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        (Tape::new(file.reopen().unwrap(), cancel.clone(), until).unwrap(), file)
    }

    fn text(tape: &Tape) -> io::Result<String> {
        let mut text = String::new();
        tape.play()?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn it_reads_twice_alike_though_it_grows() {
        let (tape, mut file) = tape(b"a\nb\n", &CancellationToken::new());
        assert_eq!(text(&tape).unwrap(), "a\nb\n");
        assert!((tape.done() - 0.5).abs() < 1e-9);
        file.write_all(b"c\n").unwrap();
        assert_eq!(text(&tape).unwrap(), "a\nb\n");
        assert!((tape.done() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_packed_one_that_was_cut_off_counts_up_to_there() {
        let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        packed.write_all(b"a\n").unwrap();
        packed.flush().unwrap();
        let cut = packed.get_ref().clone();
        assert_eq!(text(&tape(&cut, &CancellationToken::new()).0).unwrap(), "a\n");
    }

    #[test]
    fn one_that_is_cancelled_or_out_of_time_is_not_read_on() {
        let cancel = CancellationToken::new();
        let (kept, _file) = tape(b"a\n", &cancel);
        cancel.cancel();
        assert!(text(&kept).is_err());
        let (mut late, _file) = tape(b"a\n", &CancellationToken::new());
        late.until = Instant::now();
        assert_eq!(text(&late).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
