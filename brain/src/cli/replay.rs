//! `lightsout replay RECORDING|-`: the control loop over recorded windows.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::Mode;
use crate::policies::Policies;
use crate::policy_files::{self, PolicyError};
use crate::replay::{Line, Summary, replay, unpacked, write_json};

/// What to replay, and how.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// One window a line, JSON, plain or zstd; `-` is standard input
    pub recording: PathBuf,
    /// Policies instead of those shipped
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// How far the brain might have gone
    #[arg(long, value_enum, default_value_t = Mode::Autonomous)]
    pub mode: Mode,
    /// Count budgets, cooldowns and reversals too
    #[arg(long)]
    pub budgets: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = ReplayFormat::Table)]
    pub format: ReplayFormat,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplayFormat {
    /// Aligned columns.
    Table,
    /// One JSON object a line.
    Json,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Policies with mistakes, or none where they should be; exit code 2.
    #[error("{0}")]
    Policies(#[from] PolicyError),
    /// A file that cannot be opened or read; exit code 2.
    #[error("{path}: {why}")]
    Input {
        /// Which.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// The recording ended badly, or nobody reads the answer; exit code 1.
    #[error("replay: {0}")]
    Io(#[from] io::Error),
}

impl ReplayError {
    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Policies(_) | Self::Input { .. } => 2,
            Self::Io(_) => 1,
        }
    }
}

/// Runs the verb: the answer to `out`, counts of what was skipped to `err`.
///
/// # Errors
/// See [`ReplayError`].
pub fn run(
    args: &ReplayArgs,
    stdin: impl Read + 'static,
    out: impl Write,
    mut err: impl Write,
) -> Result<Summary, ReplayError> {
    let policies = match &args.policies {
        Some(dir) => policy_files::load(dir)?,
        None => Policies::shipped().map_err(PolicyError::from)?,
    };
    let (reader, bar) = open(&args.recording, stdin)?;
    let mut out = BufWriter::new(out);
    if args.format == ReplayFormat::Table {
        writeln!(out, "{:<24}  {:<16}  {:<8}  {:<5}  {:<5}  WHY", "AT", "TYPE", "INCIDENT", "CONF", "SAYS")?;
    }
    let tell = |line: &Line| match args.format {
        ReplayFormat::Json => write_json(line, &mut out),
        ReplayFormat::Table => write_row(line, &mut out),
    };
    let summary = replay(reader, policies, args.mode, args.budgets, tell)?;
    out.flush()?;
    bar.finish_and_clear();
    for (count, what) in [
        (summary.skipped, "lines that are no windows were skipped"),
        (summary.refused, "windows were repeated or too late"),
        (summary.quarantined, "windows contradict themselves and were set aside"),
        (summary.overflowed, "cells beyond the bound on series were not judged"),
    ] {
        if count > 0 {
            writeln!(err, "{count} {what}")?;
        }
    }
    Ok(summary)
}

fn write_row(line: &Line, mut out: impl Write) -> io::Result<()> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or("").to_owned();
    let line_type = word(serde_json::to_value(line.line_type).unwrap_or_default());
    let verdict = word(serde_json::to_value(line.verdict).unwrap_or_default());
    let (at, incident) = (crate::decision::rfc3339(line.at_ms), line.incident.as_deref().unwrap_or("-"));
    let confidence = line.confidence;
    writeln!(
        out,
        "{at:<24}  {line_type:<16}  {incident:<8}  {confidence:<5.2}  {verdict:<5}  {}",
        super::output::harmless(&line.why)
    )
}

/// The recording's lines, whatever it is packed in, and a bar that shows how far it is read when
/// standard error is a terminal.
fn open(path: &Path, stdin: impl Read + 'static) -> Result<(Box<dyn BufRead>, ProgressBar), ReplayError> {
    let bad = |why| ReplayError::Input { path: path.display().to_string(), why };
    if path.as_os_str() == "-" {
        return Ok((unpacked(Box::new(stdin)).map_err(bad)?, ProgressBar::hidden()));
    }
    let file = File::open(path).map_err(bad)?;
    let bytes = file.metadata().map_err(bad)?.len();
    let bar = if io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    let reader = unpacked(Box::new(bar.wrap_read(file))).map_err(bad)?;
    Ok((reader, bar))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn args(recording: &Path) -> ReplayArgs {
        ReplayArgs {
            recording: recording.to_owned(),
            policies: None,
            mode: Mode::Autonomous,
            budgets: false,
            format: ReplayFormat::Json,
        }
    }

    #[test]
    fn lines_that_are_no_windows_are_counted_and_packed_files_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording.jsonl.zst");
        std::fs::write(&path, zstd::encode_all(&b"{}\nnonsense\n"[..], 1).unwrap()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let summary = run(&args(&path), io::empty(), &mut out, &mut err).unwrap();
        assert_eq!((summary.skipped, out.len()), (2, 0));
        assert!(String::from_utf8(err).unwrap().starts_with("2 lines"));
    }

    #[test]
    fn a_missing_recording_and_a_bad_policy_are_invalid_input() {
        let dir = tempfile::tempdir().unwrap();
        let missing = run(&args(&dir.path().join("none")), io::empty(), io::sink(), io::sink());
        assert_eq!(missing.unwrap_err().exit_code(), 2);
        std::fs::write(dir.path().join("guard.yaml"), "cooldown: 3\n").unwrap();
        let with_policies = ReplayArgs { policies: Some(dir.path().to_owned()), ..args(Path::new("-")) };
        let bad = run(&with_policies, io::empty(), io::sink(), io::sink()).unwrap_err();
        assert_eq!(bad.exit_code(), 2);
        assert!(bad.to_string().contains("guard.yaml:1:1"), "{bad}");
    }
}
