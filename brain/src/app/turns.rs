//! The control loop as the runtime turns it, and what is kept of it beside.

use tokio::sync::mpsc;

use crate::control_loop::ControlLoop;
use crate::decision::advisor::Question;
use crate::domain::{TickOutput, View};
use crate::forecast::History;
use crate::forecast::task::Told;
use crate::metrics::Metrics;
use crate::runtime::Turn;
use crate::state::{Memory, Reason};

/// Between two forecasts: they are made of minutes.
const FORECAST_MS: i64 = 60_000;
/// Between two times at which what is normal is kept for a later life.
const REMEMBER_MS: i64 = 15_000;

/// Where what the loop knows goes now and then, and what comes of it.
pub(super) struct Keep {
    pub(super) memories: mpsc::Sender<Memory>,
    pub(super) histories: mpsc::Sender<Vec<History>>,
    pub(super) forecasts: Told,
}

/// The control loop as the runtime calls it.
pub(super) fn turns(
    mut control: ControlLoop,
    least_confidence: f64,
    keep: Keep,
    questions: mpsc::Sender<Question>,
    metrics: Metrics,
) -> impl FnMut(Turn) -> (TickOutput, View) + Send {
    let Keep { memories, histories, forecasts } = keep;
    let (mut remembered_ms, mut told_ms) = (i64::MIN, i64::MIN);
    let mut kept_lessons = control.lessons();
    let (mut set_aside, mut overflowed) = (control.quarantine(), control.refused().1);
    move |turn| {
        if let Some(policies) = turn.policies {
            control.set_policies(policies.with_least_confidence(least_confidence));
        }
        if let Some(epoch) = turn.epoch {
            control.set_epoch(epoch);
        }
        control.foresee(forecasts.load_full());
        let output = control.tick(turn.input);
        for question in control.questions() {
            // One that finds no place is not asked: advice is never needed.
            let _ = questions.try_send(question);
        }
        for reason in Reason::ALL {
            let more = control.quarantine().of(reason).saturating_sub(set_aside.of(reason));
            metrics.windows_quarantined.with_label_values(&[reason.label()]).inc_by(more);
        }
        metrics.cells_overflowed.inc_by(control.refused().1.saturating_sub(overflowed));
        (set_aside, overflowed) = (control.quarantine(), control.refused().1);
        // What an action taught is kept at once, what is normal now and then.
        let due = control.now_ms() >= remembered_ms.saturating_add(REMEMBER_MS);
        if due || control.lessons() != kept_lessons {
            remembered_ms = control.now_ms();
            // One that is still being written makes this one wait for its next turn.
            if memories.try_send(control.memory()).is_ok() {
                kept_lessons = control.lessons();
            }
        }
        // One that is still being fitted makes this one wait; what was recalled is told of once it is met again.
        if control.now_ms() >= told_ms.saturating_add(FORECAST_MS)
            && let Ok(place) = histories.try_reserve()
        {
            let histories = control.histories();
            if histories.iter().any(|history| !history.rates.is_empty()) {
                told_ms = control.now_ms();
                place.send(histories);
            }
        }
        (output, control.view())
    }
}
