//! `lightsout brain --record FILE`: every window the control loop was given, one a line (CONTRACTS §4), for
//! `lightsout replay`. Rotated and bounded; what the disk cannot take in time is lost and counted, the
//! loop never waits for it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use prometheus::IntCounter;
use protocol::telemetry::Window;

/// Turns that may wait to be written: at four a second, some seconds of a stuck disk.
const MAX_WAITING: usize = 64;

/// Where a recording goes, and how much of it is kept.
#[derive(Debug, Clone)]
pub struct RecordingPlan {
    /// The newest file; older ones are `FILE.1`, `FILE.2`, … A name that ends in `.zst` is compressed.
    pub path: PathBuf,
    /// Uncompressed bytes of a file before the next is begun.
    pub max_bytes: u64,
    /// Older files that are kept.
    pub keep: u32,
}

impl RecordingPlan {
    /// The files that are there now, the newest first.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let older = (1..=self.keep).map(|n| numbered(&self.path, n));
        std::iter::once(self.path.clone()).chain(older).filter(|path| path.exists()).collect()
    }
}

/// The loop's end of a recording.
#[derive(Debug)]
pub struct Recording {
    sender: Option<SyncSender<Vec<Window>>>,
    writer: Option<JoinHandle<()>>,
    lost: IntCounter,
}

impl Recording {
    /// Begins a file, so that a path that cannot be written is found at the start. An older one of the
    /// same name is kept as `FILE.1`.
    ///
    /// # Errors
    /// The file cannot be made, or a thread cannot be had.
    pub fn begin(plan: RecordingPlan, lost: IntCounter) -> io::Result<Self> {
        if plan.path.exists() {
            rotate(&plan)?;
        }
        let out = Output::open(&plan.path)?;
        let (sender, turns) = sync_channel(MAX_WAITING);
        let counted = lost.clone();
        let thread = std::thread::Builder::new().name("recording".to_owned());
        let writer = thread.spawn(move || write_all(&plan, out, &turns, &counted))?;
        Ok(Self { sender: Some(sender), writer: Some(writer), lost })
    }

    /// Keeps one turn's windows.
    pub fn keep(&self, windows: &[Window]) {
        let Some(sender) = self.sender.as_ref().filter(|_| !windows.is_empty()) else { return };
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            sender.try_send(windows.to_vec())
        {
            self.lost.inc_by(lost.len() as u64);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        drop(self.sender.take());
        // What waits is written before the process ends: at most MAX_WAITING turns.
        self.writer.take().map(JoinHandle::join);
    }
}

fn write_all(plan: &RecordingPlan, mut out: Output, turns: &Receiver<Vec<Window>>, lost: &IntCounter) {
    for windows in turns {
        let count = windows.len() as u64;
        let written = if out.bytes >= plan.max_bytes { next(plan, &mut out) } else { Ok(()) };
        if let Err(why) = written.and_then(|()| out.write(&windows)) {
            tracing::error!(path = %plan.path.display(), "the recording cannot be written: {why}");
            lost.inc_by(count);
        }
    }
    if let Err(why) = out.finish() {
        tracing::error!(path = %plan.path.display(), "the recording's end cannot be written: {why}");
    }
}

/// Ends the file, moves the older ones on, begins the next.
fn next(plan: &RecordingPlan, out: &mut Output) -> io::Result<()> {
    out.flush()?;
    rotate(plan)?;
    std::mem::replace(out, Output::open(&plan.path)?).finish()
}

fn rotate(plan: &RecordingPlan) -> io::Result<()> {
    for n in (1..=plan.keep).rev() {
        let from = if n == 1 { plan.path.clone() } else { numbered(&plan.path, n - 1) };
        if from.exists() {
            std::fs::rename(from, numbered(&plan.path, n))?;
        }
    }
    Ok(())
}

/// `windows.jsonl.zst` and 2 make `windows.jsonl.2.zst`: still known by its ending.
fn numbered(path: &Path, n: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = match name.strip_suffix(".zst") {
        Some(bare) => format!("{bare}.{n}.zst"),
        None => format!("{name}.{n}"),
    };
    path.with_file_name(numbered)
}

/// An open file, compressed or not.
struct Output {
    sink: Sink,
    /// Written, before compression.
    bytes: u64,
}

enum Sink {
    Plain(BufWriter<File>),
    Packed(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let packed = path.extension().is_some_and(|extension| extension == "zst");
        let sink = if packed {
            Sink::Packed(zstd::stream::write::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?)
        } else {
            Sink::Plain(file)
        };
        Ok(Self { sink, bytes: 0 })
    }

    /// Writes and flushes: a brain that is killed loses no turn that was written.
    fn write(&mut self, windows: &[Window]) -> io::Result<()> {
        for window in windows {
            let mut line = serde_json::to_vec(window)?;
            line.push(b'\n');
            self.bytes += line.len() as u64;
            match &mut self.sink {
                Sink::Plain(file) => file.write_all(&line)?,
                Sink::Packed(encoder) => encoder.write_all(&line)?,
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(file) => file.flush(),
            Sink::Packed(encoder) => encoder.flush(),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Plain(mut file) => file.flush(),
            Sink::Packed(encoder) => encoder.finish()?.flush(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn window(seq: u64) -> Window {
        serde_json::from_str(&format!(
            r#"{{"proxy":"p","boot":"b","seq":{seq},"start_ms":{},"duration_ms":1000}}"#,
            seq * 1_000
        ))
        .unwrap()
    }

    fn record(path: &Path, max_bytes: u64, keep: u32, seqs: std::ops::Range<u64>) -> u64 {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let plan = RecordingPlan { path: path.to_owned(), max_bytes, keep };
        let recording = Recording::begin(plan, lost.clone()).unwrap();
        for seq in seqs {
            recording.keep(&[window(seq)]);
            // The writer is given time by being waited for, not by sleeping.
            while recording.lost.get() == 0 && seq % 32 == 31 && !drained(&recording) {
                std::thread::yield_now();
            }
        }
        drop(recording);
        lost.get()
    }

    fn drained(recording: &Recording) -> bool {
        // An empty turn is not sent; a full channel says that it is not drained.
        recording.sender.as_ref().is_some_and(|sender| sender.try_send(Vec::new()).is_ok())
    }

    fn seqs(text: &str) -> Vec<u64> {
        text.lines().map(|line| serde_json::from_str::<Window>(line).unwrap().seq).collect()
    }

    #[test]
    fn every_window_is_written_in_order_and_reads_back_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.jsonl");
        assert_eq!(record(&path, u64::MAX, 1, 1..30), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(seqs(&text), (1..30).collect::<Vec<_>>());
        assert_eq!(text.lines().next().unwrap(), serde_json::to_string(&window(1)).unwrap());
    }

    #[test]
    fn files_are_rotated_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.jsonl");
        record(&path, 500, 2, 1..40);
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["w.jsonl", "w.jsonl.1", "w.jsonl.2"]);
        let read = |name: &str| seqs(&std::fs::read_to_string(dir.path().join(name)).unwrap());
        let all = [read("w.jsonl.2"), read("w.jsonl.1"), read("w.jsonl")].concat();
        assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1), "{all:?}");
        assert_eq!(all.last(), Some(&39));
    }

    #[test]
    fn a_packed_recording_is_one_and_an_older_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.jsonl.zst");
        record(&path, u64::MAX, 1, 1..10);
        record(&path, u64::MAX, 1, 10..12);
        let unpack = |name: &str| {
            let bytes = std::fs::read(dir.path().join(name)).unwrap();
            seqs(&String::from_utf8(zstd::decode_all(bytes.as_slice()).unwrap()).unwrap())
        };
        assert_eq!(unpack("w.jsonl.1.zst").len(), 9);
        assert_eq!(unpack("w.jsonl.zst"), [10, 11]);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_found_at_the_start() {
        let plan = RecordingPlan { path: "/nowhere/w.jsonl".into(), max_bytes: 1, keep: 1 };
        assert!(Recording::begin(plan, IntCounter::new("lost", "lost").unwrap()).is_err());
    }
}
