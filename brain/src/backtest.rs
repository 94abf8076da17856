//! A policy that somebody edited, tried on a recording beside the one in force: what each would have seen,
//! asked and done. Changes nothing, decides nothing.
//!
//! One at a time, on a thread of its own, with an end in time and in size; it can be cancelled.

mod compare;
mod shelf;
mod tape;
mod task;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Mode;
use crate::policies::{Policies, PolicyText, TextError};
use crate::policy_files::PolicyError;

pub use compare::{Comparison, Row, Said, Tally};
pub use shelf::{FOLDER, RecordingFile, Shelf};
pub use task::Backtests;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestOrder {
    /// A recording, as `GET /v1/recordings` names it.
    pub recording: String,
    /// The edited files by name (`guard.yaml`); those that are left out stay as they are in force.
    pub policies: BTreeMap<String, String>,
    /// How far the brain might have gone. Absent: `autonomous`, what it would have done.
    #[serde(default = "farthest")]
    pub mode: Mode,
    /// Whether budgets, cooldowns and reversals are counted, though nothing heals in a recording.
    #[serde(default)]
    pub budgets: bool,
}

fn farthest() -> Mode {
    Mode::Autonomous
}

/// One trial, as far as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backtest {
    /// `bt-1`, `bt-2`, … since the brain started.
    pub id: String,
    /// Where it stands.
    pub state: BacktestState,
    /// Who asked.
    pub by: String,
    /// Over what.
    pub recording: String,
    /// How far the brain might have gone.
    pub mode: Mode,
    /// When it began, milliseconds since the epoch.
    pub started_ms: i64,
    /// Share of the reading that is done, 0 to 1.
    pub done: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Comparison>,
}

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BacktestState {
    /// The recording is being read.
    Running,
    /// Both have been told.
    Done,
    /// Somebody ended it.
    Cancelled,
    /// It could not be done.
    Failed,
}

/// Why a trial is not begun.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// Another one is running.
    #[error("{0} is running; one at a time")]
    Busy(String),
    /// No such recording.
    #[error("there is no recording of that name")]
    NoRecording,
    /// It cannot be opened.
    #[error("the recording cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The edited texts are no policies; every mistake with its place.
    #[error("{0}")]
    Edited(#[from] TextError),
    /// The policies in force do not load.
    #[error("the policies in force: {0}")]
    InForce(#[from] PolicyError),
}

/// The policies in force with some of their texts replaced.
///
/// # Errors
/// A file that is none of them, or the first text with mistakes.
fn edited(in_force: &[PolicyText], edits: &BTreeMap<String, String>) -> Result<Policies, TextError> {
    if let Some(stranger) = edits.keys().find(|file| !in_force.iter().any(|text| text.file == **file)) {
        return Err(TextError::Unknown(stranger.chars().take(100).collect()));
    }
    let text = |of: &PolicyText| edits.get(&of.file).unwrap_or(&of.text).clone();
    let texts: Vec<(String, String)> = in_force.iter().map(|of| (of.file.clone(), text(of))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    Ok(Policies::from_texts(&texts)?)
}
