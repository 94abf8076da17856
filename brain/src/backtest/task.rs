//! The trials since the brain started: at most one runs, the last few are kept.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::compare::{Comparison, Told, compare};
use super::tape::Tape;
use super::{Backtest, BacktestError, BacktestOrder, BacktestState, Shelf, edited};
use crate::policies::{Policies, PolicyText};
use crate::policy_files;
use crate::replay::{Summary, replay};

/// Trials that are remembered.
const KEPT: usize = 8;
/// How long one may read.
const AT_MOST: Duration = Duration::from_secs(600);

/// The trials; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Backtests {
    /// What they are made over.
    pub shelf: Arc<Shelf>,
    policies_dir: PathBuf,
    least_confidence: f64,
    stop: CancellationToken,
    trials: Arc<Mutex<Trials>>,
}

#[derive(Debug, Default)]
struct Trials {
    begun: u64,
    /// The newest last.
    kept: VecDeque<Trial>,
}

#[derive(Debug)]
struct Trial {
    told: Backtest,
    tape: Tape,
    cancel: CancellationToken,
}

impl Trial {
    fn now(&self) -> Backtest {
        let done = if self.told.state == BacktestState::Running { self.tape.done() } else { self.told.done };
        Backtest { done, ..self.told.clone() }
    }
}

/// Two sets of policies over one recording.
struct Run {
    tape: Tape,
    before: Policies,
    after: Policies,
    order: BacktestOrder,
}

impl Backtests {
    /// Over the recordings of `shelf`, against the policies of `policies_dir`, of which nothing is done alone
    /// below `least_confidence`; ended by `stop`.
    #[must_use]
    pub fn new(shelf: Shelf, policies_dir: PathBuf, least_confidence: f64, stop: CancellationToken) -> Self {
        Self { shelf: Arc::new(shelf), policies_dir, least_confidence, stop, trials: Arc::default() }
    }

    /// The texts of the policies in force.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn policies(&self) -> Result<Vec<PolicyText>, BacktestError> {
        Ok(policy_files::texts_in_force(&self.policies_dir)?)
    }

    /// Begins a trial, if none is running.
    ///
    /// # Errors
    /// [`BacktestError`]; then nothing was begun.
    pub fn begin(&self, order: BacktestOrder, by: &str, now_ms: i64) -> Result<Backtest, BacktestError> {
        let in_force = self.policies()?;
        let fit = |policies: Policies| policies.with_least_confidence(self.least_confidence);
        let before = fit(edited(&in_force, &BTreeMap::new())?);
        let after = fit(edited(&in_force, &order.policies)?);
        let file = self.shelf.open(&order.recording)?.ok_or(BacktestError::NoRecording)?;
        let cancel = self.stop.child_token();
        let tape = Tape::new(file, cancel.clone(), Instant::now() + AT_MOST)?;
        let told = self.note(&order, by, now_ms, tape.clone(), cancel)?;
        let (trials, id) = (Arc::clone(&self.trials), told.id.clone());
        tokio::spawn(async move {
            let run = Run { tape, before, after, order };
            // It computes for minutes: not on the threads that answer people.
            let ended = tokio::task::spawn_blocking(move || run.both()).await;
            let ended = ended.map_err(std::io::Error::other).and_then(|told| told);
            close(&mut lock(&trials), &id, ended);
        });
        Ok(told)
    }

    fn note(
        &self,
        order: &BacktestOrder,
        by: &str,
        started_ms: i64,
        tape: Tape,
        cancel: CancellationToken,
    ) -> Result<Backtest, BacktestError> {
        let mut trials = lock(&self.trials);
        if let Some(busy) = trials.kept.back().filter(|trial| trial.told.state == BacktestState::Running) {
            return Err(BacktestError::Busy(busy.told.id.clone()));
        }
        trials.begun += 1;
        let told = Backtest {
            id: format!("bt-{}", trials.begun),
            state: BacktestState::Running,
            by: by.to_owned(),
            recording: order.recording.clone(),
            mode: order.mode,
            started_ms,
            done: 0.0,
            why: None,
            result: None,
        };
        trials.kept.push_back(Trial { told: told.clone(), tape, cancel });
        if trials.kept.len() > KEPT {
            trials.kept.pop_front();
        }
        Ok(told)
    }

    /// Those that are remembered, the newest first, without their results.
    #[must_use]
    pub fn list(&self) -> Vec<Backtest> {
        let brief = |trial: &Trial| Backtest { result: None, ..trial.now() };
        lock(&self.trials).kept.iter().rev().map(brief).collect()
    }

    /// One of them.
    #[must_use]
    pub fn one(&self, id: &str) -> Option<Backtest> {
        lock(&self.trials).kept.iter().find(|trial| trial.told.id == id).map(Trial::now)
    }

    /// Ends one that runs; whether there is one of that name.
    #[must_use]
    pub fn cancel(&self, id: &str) -> Option<Backtest> {
        let mut trials = lock(&self.trials);
        let trial = trials.kept.iter_mut().find(|trial| trial.told.id == id)?;
        trial.cancel.cancel();
        if trial.told.state == BacktestState::Running {
            trial.told.done = trial.tape.done();
            trial.told.state = BacktestState::Cancelled;
        }
        Some(trial.now())
    }
}

impl Run {
    fn both(self) -> std::io::Result<Comparison> {
        let (before, _) = told(&self.tape, self.before, &self.order)?;
        let (after, read) = told(&self.tape, self.after, &self.order)?;
        Ok(compare(before, after, read))
    }
}

fn told(tape: &Tape, policies: Policies, order: &BacktestOrder) -> std::io::Result<(Told, Summary)> {
    let mut told = Told::default();
    let read = replay(tape.play()?, policies, order.mode, order.budgets, |line| {
        told.hear(line);
        Ok(())
    })?;
    Ok((told, read))
}

fn close(trials: &mut Trials, id: &str, ended: std::io::Result<Comparison>) {
    let running = |trial: &&mut Trial| trial.told.id == id && trial.told.state == BacktestState::Running;
    let Some(trial) = trials.kept.iter_mut().find(running) else { return };
    trial.told.done = trial.tape.done();
    match ended {
        Ok(result) => {
            (trial.told.state, trial.told.done) = (BacktestState::Done, 1.0);
            trial.told.result = Some(result);
        }
        Err(_) if trial.cancel.is_cancelled() => trial.told.state = BacktestState::Cancelled,
        Err(why) => {
            trial.told.state = BacktestState::Failed;
            trial.told.why = Some(why.to_string());
        }
    }
}

/// A list is whole after every statement: a thread that died in between left nothing half done.
fn lock(trials: &Mutex<Trials>) -> MutexGuard<'_, Trials> {
    trials.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::{Mode, Verdict};

    const RECORDING: &str = include_str!("../../../tests/recordings/gray-endpoint.jsonl");

    fn trials() -> (Backtests, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(super::super::FOLDER);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("gray.jsonl"), RECORDING).unwrap();
        let policies = dir.path().join("policies");
        (Backtests::new(Shelf::new(dir.path()), policies, 0.0, CancellationToken::new()), dir)
    }

    fn order(recording: &str, edits: &[(&str, &str)]) -> BacktestOrder {
        let policies = edits.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        BacktestOrder { recording: recording.into(), policies, mode: Mode::Autonomous, budgets: false }
    }

    async fn ended(trials: &Backtests, id: &str) -> Backtest {
        loop {
            let now = trials.one(id).unwrap();
            if now.state != BacktestState::Running {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_higher_threshold_would_have_asked_where_the_one_in_force_acted() {
        let (trials, _dir) = trials();
        let shy = "version: 1\nkinds: { eject_endpoint: { mode: auto, threshold: 0.999 } }\n";
        let begun = trials.begin(order("gray.jsonl", &[("guard.yaml", shy)]), "ann", 7).unwrap();
        assert_eq!((begun.state, begun.by.as_str()), (BacktestState::Running, "ann"));
        let told = ended(&trials, &begun.id).await;
        let result = told.result.unwrap();
        assert_eq!((result.before.alarms, result.after.alarms), (1, 1));
        assert_eq!((result.before.actions, result.after.actions, result.after.asked), (1, 0, 1));
        let [decision] = &result.rows.iter().filter(|row| row.differs).collect::<Vec<_>>()[..] else {
            unreachable!("one decision differs: {:?}", result.rows)
        };
        let verdicts = [&decision.before, &decision.after].map(|said| said.as_ref().unwrap().verdict);
        assert_eq!(verdicts, [Some(Verdict::Allow), Some(Verdict::Ask)]);
        assert!(result.windows > 30 && (told.done - 1.0).abs() < 1e-9);
    }

    #[tokio::test]
    async fn mistakes_and_strangers_are_refused_before_anything_is_read() {
        let (trials, _dir) = trials();
        let refused = |recording: &str, edit| trials.begin(order(recording, &[edit]), "ann", 7).unwrap_err();
        let mistake = refused("gray.jsonl", ("guard.yaml", "version: 1\ncooldwn_s: 3\n")).to_string();
        assert!(mistake.starts_with("guard.yaml:2:") && mistake.contains("did you mean"), "{mistake}");
        assert!(refused("gray.jsonl", ("passwd", "")).to_string().contains("none of"));
        let stranger = refused("../gray.jsonl", ("guard.yaml", "version: 1\n"));
        assert!(matches!(stranger, BacktestError::NoRecording));
        assert!(trials.list().is_empty());
    }

    #[tokio::test]
    async fn one_runs_at_a_time_and_can_be_cancelled() {
        let (trials, _dir) = trials();
        let first = trials.begin(order("gray.jsonl", &[]), "ann", 7).unwrap();
        let busy = trials.begin(order("gray.jsonl", &[]), "ann", 7).unwrap_err();
        assert!(matches!(busy, BacktestError::Busy(id) if id == first.id));
        assert_eq!(trials.cancel(&first.id).unwrap().state, BacktestState::Cancelled);
        assert_eq!(trials.cancel("bt-99"), None);
        let second = trials.begin(order("gray.jsonl", &[]), "ann", 7).unwrap();
        assert_eq!(ended(&trials, &second.id).await.state, BacktestState::Done);
        assert_eq!(trials.one(&first.id).unwrap().state, BacktestState::Cancelled, "it stays what it became");
        assert_eq!(trials.list().len(), 2);
    }
}
