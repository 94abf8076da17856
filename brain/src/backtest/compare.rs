//! Two replays side by side: what both say, what only one says, what they say differently.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ProposedAction, Verdict};
use crate::replay::{Line, LineType, Summary};

/// The most rows that are told; those on which the two differ come first.
pub const MAX_ROWS: usize = 400;
/// The most alarms and decisions of one side that are told apart; beyond, they are only counted.
const MAX_TOLD: usize = 20_000;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Windows read.
    pub windows: u64,
    /// Lines that are no windows, and windows that could not be used.
    pub skipped: u64,
    /// By the policies in force.
    pub before: Tally,
    /// By the edited ones.
    pub after: Tally,
    /// Alarms and decisions in order of time, at most [`MAX_ROWS`].
    pub rows: Vec<Row>,
    /// How many of all rows differ.
    pub changed: usize,
    /// Rows that are not told.
    pub left_out: usize,
}

/// How much of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Incidents opened.
    pub alarms: u64,
    /// Actions proposed.
    pub proposals: u64,
    /// Of them a person would have been asked.
    pub asked: u64,
    /// Of them the guard would have refused.
    pub denied: u64,
    /// Actions taken alone.
    pub actions: u64,
}

/// An alarm, or a decision about an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ComparisonRow")]
pub struct Row {
    /// The earlier of the two, milliseconds since the epoch.
    pub at_ms: i64,
    /// Where the symptom shows, or whom the action is for.
    pub service: String,
    /// The culprit of an alarm, in words; absent for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// What would be done; absent for an alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ProposedAction>,
    /// By the policies in force; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Said>,
    /// By the edited ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Said>,
    /// Whether the two differ in whether, when, or with what verdict.
    pub differs: bool,
}

/// What one of the two says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// When.
    pub at_ms: i64,
    /// How sure.
    pub confidence: f64,
    /// The guard's answer to an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// In one sentence.
    pub why: String,
}

/// What one replay told, as it is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    tally: Tally,
    kept: Vec<(About, Said)>,
}

/// What two replays must agree on to have told of the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct About {
    service: String,
    alarm: Option<String>,
    /// As JSON: actions have no order of their own.
    action: Option<String>,
}

impl Told {
    pub(super) fn hear(&mut self, line: &Line) {
        match (line.line_type, line.verdict) {
            (LineType::IncidentOpened, _) => self.tally.alarms += 1,
            (LineType::Proposal, _) => self.tally.proposals += 1,
            (LineType::Action, _) => self.tally.actions += 1,
            (LineType::Verdict, Some(Verdict::Ask)) => self.tally.asked += 1,
            (LineType::Verdict, Some(Verdict::Deny)) => self.tally.denied += 1,
            _ => {}
        }
        let told = matches!(line.line_type, LineType::IncidentOpened | LineType::Verdict);
        if told && self.kept.len() < MAX_TOLD {
            let (at_ms, confidence, verdict) = (line.at_ms, line.confidence, line.verdict);
            self.kept.push((About::of(line), Said { at_ms, confidence, verdict, why: line.why.clone() }));
        }
    }
}

impl About {
    fn of(line: &Line) -> Self {
        let action = line.action.as_ref().and_then(|action| serde_json::to_string(action).ok());
        let service = line.action.as_ref().map_or(&line.service, |action| &action.service).clone();
        Self { service, alarm: action.is_none().then(|| culprit(line)), action }
    }
}

fn culprit(line: &Line) -> String {
    let Some(cause) = &line.cause else { return "unknown".to_owned() };
    let kind = serde_json::to_value(cause.kind).unwrap_or_default();
    let part = cause.endpoint.as_ref().or(cause.version.as_ref()).unwrap_or(&cause.service);
    format!("{}: {part}", kind.as_str().unwrap_or("unknown").replace('_', " "))
}

/// Both sides, matched: the first of one with the first of the same of the other, and so on.
pub(super) fn compare(before: Told, after: Told, read: Summary) -> Comparison {
    let tallies = (before.tally, after.tally);
    let mut others: BTreeMap<About, VecDeque<Said>> = BTreeMap::new();
    for (about, said) in after.kept {
        others.entry(about).or_default().push_back(said);
    }
    let mut rows: Vec<Row> = Vec::with_capacity(before.kept.len());
    for (about, said) in before.kept {
        let other = others.get_mut(&about).and_then(VecDeque::pop_front);
        rows.push(row(about, Some(said), other));
    }
    for (about, said) in others {
        rows.extend(said.into_iter().map(|said| row(about.clone(), None, Some(said))));
    }
    let (all, changed) = (rows.len(), rows.iter().filter(|row| row.differs).count());
    rows.sort_by_key(|row| (!row.differs, row.at_ms));
    rows.truncate(MAX_ROWS);
    rows.sort_by_key(|row| row.at_ms);
    Comparison {
        windows: read.windows,
        skipped: read.skipped + read.refused + read.quarantined,
        before: tallies.0,
        after: tallies.1,
        left_out: all - rows.len(),
        rows,
        changed,
    }
}

fn row(about: About, before: Option<Said>, after: Option<Said>) -> Row {
    let told = |said: &Option<Said>| said.as_ref().map(|said| (said.at_ms, said.verdict));
    let times = [&before, &after].map(|said| said.as_ref().map_or(i64::MAX, |said| said.at_ms));
    Row {
        at_ms: times[0].min(times[1]),
        service: about.service,
        alarm: about.alarm,
        action: about.action.and_then(|json| serde_json::from_str(&json).ok()),
        differs: told(&before) != told(&after),
        before,
        after,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::CauseKind;
    use crate::replay::ShownCause;
    use serde_json::json;

    fn line(line_type: LineType, at_ms: i64, verdict: Option<Verdict>, endpoint: &str) -> Line {
        let action = json!({"service": "cart", "kind": {"type": "eject_endpoint", "endpoint": endpoint}, "lease_ms": 9000});
        let action = serde_json::from_value(action).unwrap();
        let cause = ShownCause {
            kind: CauseKind::BadEndpoint,
            service: "cart".into(),
            endpoint: Some(endpoint.into()),
            version: None,
            ips: Vec::new(),
        };
        Line {
            at_ms,
            line_type,
            incident: None,
            service: "cart".into(),
            cause: Some(cause),
            confidence: 0.9,
            action: (line_type != LineType::IncidentOpened).then_some(action),
            verdict,
            why: String::new(),
        }
    }

    fn told(lines: &[Line]) -> Told {
        let mut told = Told::default();
        lines.iter().for_each(|line| told.hear(line));
        told
    }

    const A: &str = "10.0.0.1:80";
    const B: &str = "10.0.0.2:80";

    #[test]
    fn what_both_say_alike_is_one_row_that_does_not_differ() {
        let lines = [
            line(LineType::IncidentOpened, 5, None, A),
            line(LineType::Proposal, 5, None, A),
            line(LineType::Verdict, 5, Some(Verdict::Allow), A),
            line(LineType::Action, 5, Some(Verdict::Allow), A),
        ];
        let same = compare(told(&lines), told(&lines), Summary::default());
        assert_eq!(same.before, Tally { alarms: 1, proposals: 1, actions: 1, ..Tally::default() });
        assert_eq!((same.before, same.rows.len(), same.changed), (same.after, 2, 0));
        assert_eq!(same.rows[0].alarm.as_deref(), Some("bad endpoint: 10.0.0.1:80"));
        assert!(same.rows[1].action.is_some() && same.rows[1].alarm.is_none());
    }

    #[test]
    fn another_verdict_a_later_alarm_and_one_that_is_not_given_differ() {
        let before = [
            line(LineType::IncidentOpened, 5, None, A),
            line(LineType::Verdict, 5, Some(Verdict::Allow), A),
            line(LineType::IncidentOpened, 7, None, B),
        ];
        let after =
            [line(LineType::IncidentOpened, 9, None, A), line(LineType::Verdict, 9, Some(Verdict::Ask), A)];
        let told = compare(told(&before), told(&after), Summary::default());
        assert_eq!((told.rows.len(), told.changed), (3, 3));
        assert_eq!(told.rows[0].after.as_ref().unwrap().at_ms, 9);
        assert_eq!((told.rows[2].at_ms, &told.rows[2].after), (7, &None));
        assert_eq!((told.before.alarms, told.after.alarms, told.after.asked), (2, 1, 1));
    }

    #[test]
    fn of_too_many_rows_those_that_differ_are_told() {
        let many: Vec<Line> = (0..1_000).map(|n| line(LineType::IncidentOpened, n, None, A)).collect();
        let mut more = many.clone();
        more.push(line(LineType::IncidentOpened, 2_000, None, B));
        let told = compare(told(&many), told(&more), Summary::default());
        assert_eq!((told.rows.len(), told.left_out, told.changed), (MAX_ROWS, 1_001 - MAX_ROWS, 1));
        assert!(told.rows.last().unwrap().differs);
    }
}
