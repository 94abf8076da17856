//! One canary from the request to its end: what it is, what it wants of the proxies, how it moves.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use serde::{Deserialize, Serialize};

use super::judge::{Judge, Reading, StratumCounts, Verdict};
use super::{
    CanarySpec, Change, GateCall, GateState, Hold, MetricCall, Move, Pause, Phase, Point, PreviewStage,
    Record, Sight, Strategy,
};
use crate::domain::Actor;

/// Between two records of the evidence, milliseconds.
const POINT_MS: i64 = 10_000;
/// A turn that comes later than this was no turn in between: the brain was away, milliseconds.
const LONGEST_TURN_MS: i64 = 5_000;
/// A rollback is held at least so long after it took effect, milliseconds.
const HELD_BACK_MS: i64 = 60_000;

/// See the module. All of it is kept, so that a later life of the brain goes on with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Canary {
    /// `can-1`.
    pub id: String,
    /// What was asked.
    pub spec: CanarySpec,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub created_ms: i64,
    /// Where it stands.
    pub phase: Phase,
    /// Which of [`CanarySpec::weights`].
    pub step: usize,
    /// While it is paused.
    pub pause: Option<Pause>,
    /// Phase and step are so since then.
    pub since_ms: i64,
    /// The proxies hold what the step wants since then.
    pub in_force_ms: Option<i64>,
    /// The last step of which the judge was told that it begins.
    #[serde(default)]
    pub laid: Option<usize>,
    /// Time in which it could be judged, milliseconds.
    pub judged_ms: i64,
    /// The last turn.
    pub turned_ms: i64,
    /// What it waits for.
    pub hold: Option<Hold>,
    /// Why it last moved.
    pub why: String,
    /// When it was over.
    pub ended_ms: Option<i64>,
    /// How many of its moves (steps, then the promotion) people have agreed to.
    pub approved: usize,
    /// What a rollback ends as.
    pub ends_as: Phase,
    /// Whether it ever asked for traffic.
    pub has_begun: bool,
    /// Whether the proxies must be told for longer that it gets nothing.
    pub keeps_back: bool,
    /// When the canary last got a request.
    pub last_request_ms: i64,
    /// End of the newest second that was judged.
    pub looked_to_ms: i64,
    /// All its endpoints are down since then.
    pub down_since_ms: Option<i64>,
    /// How often an endpoint of it was well and then was not.
    pub crashes: u32,
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// Of them, those that were well.
    pub well: Vec<String>,
    /// What the stable version alone did, second by second, before a switch.
    #[serde(default)]
    pub before: Vec<Vec<StratumCounts>>,
    /// How many of those were compared with.
    #[serde(default)]
    pub compared: usize,
    /// Failures beyond its budget that a person has let pass.
    #[serde(default)]
    pub forgiven: f64,
    /// What gates were asked, and what they said.
    #[serde(default)]
    pub gates: BTreeMap<String, GateState>,
    /// To be asked now.
    #[serde(skip)]
    pub calls: Vec<GateCall>,
    /// When business metrics were last read.
    #[serde(default)]
    pub read_ms: BTreeMap<String, i64>,
    /// To be read now.
    #[serde(skip)]
    pub readings_wanted: Vec<MetricCall>,
    /// Read, and not yet shown to the judge.
    #[serde(default)]
    pub readings: Vec<Reading>,
    /// Weighs the evidence.
    pub judge: Judge,
    /// What happened.
    pub record: Record,
}

impl Canary {
    /// A rollout that waits to begin.
    #[must_use]
    pub fn new(id: String, spec: CanarySpec, by: Actor, now_ms: i64) -> Self {
        let judge = Judge::new(&spec.judge);
        let mut canary = Self {
            id,
            spec,
            by,
            created_ms: now_ms,
            phase: Phase::Pending,
            step: 0,
            pause: None,
            since_ms: now_ms,
            in_force_ms: None,
            laid: None,
            judged_ms: 0,
            turned_ms: now_ms,
            hold: None,
            why: String::new(),
            ended_ms: None,
            approved: 0,
            ends_as: Phase::RolledBack,
            has_begun: false,
            keeps_back: false,
            last_request_ms: now_ms,
            looked_to_ms: 0,
            down_since_ms: None,
            crashes: 0,
            endpoints: Vec::new(),
            well: Vec::new(),
            before: Vec::new(),
            compared: 0,
            forgiven: 0.0,
            gates: BTreeMap::new(),
            calls: Vec::new(),
            read_ms: BTreeMap::new(),
            readings_wanted: Vec::new(),
            readings: Vec::new(),
            judge,
            record: Record::default(),
        };
        let by = canary.by.id.clone();
        canary.go(Phase::Pending, "asked for".to_owned(), &by);
        canary
    }

    /// What the proxies should hold for it now.
    #[must_use]
    pub fn wanted(&self) -> Option<ActionKind> {
        let CanarySpec { stable, canary, .. } = &self.spec;
        let phase = self.pause.as_ref().map_or(self.phase, |pause| pause.from);
        match phase {
            Phase::Step if self.spec.strategy == Strategy::Mirror && self.spec.copies.is_none() => None,
            Phase::Step => Some(ActionKind::SetCanaryWeight {
                stable: stable.clone(),
                canary: canary.clone(),
                weight: self.weight(),
                preview: self.spec.preview.as_ref().map(PreviewStage::asking),
                copies: self.spec.copies.filter(|_| self.spec.strategy == Strategy::Mirror),
            }),
            Phase::Promoting => Some(ActionKind::PromoteCanary { version: canary.clone() }),
            Phase::Promoted if self.may_be_taken_back() => {
                Some(ActionKind::PromoteCanary { version: canary.clone() })
            }
            Phase::RollingBack => Some(ActionKind::RollbackCanary { version: canary.clone() }),
            Phase::RolledBack | Phase::Undecided if self.keeps_back => {
                Some(ActionKind::RollbackCanary { version: canary.clone() })
            }
            _ => None,
        }
    }

    /// The canary's share that is wanted now, percent.
    #[must_use]
    pub fn weight(&self) -> u32 {
        match self.pause.as_ref().map_or(self.phase, |pause| pause.from) {
            Phase::Step => self.spec.weights().get(self.step).copied().unwrap_or(0),
            Phase::Promoting | Phase::Promoted => 100,
            _ => 0,
        }
    }

    /// Whether a promotion can still be taken back.
    #[must_use]
    pub fn may_be_taken_back(&self) -> bool {
        let window_ms = i64::from(self.spec.rollback_window_s) * 1_000;
        self.phase == Phase::Promoted && self.ended_ms.is_some_and(|ms| self.turned_ms < ms + window_ms)
    }

    /// Whether it still has a say in what its service's endpoints get.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.phase.is_over() || self.may_be_taken_back() || self.keeps_back
    }

    /// It is over and another one begins: nothing is wanted any more.
    pub fn let_go(&mut self) {
        self.keeps_back = false;
        self.spec.rollback_window_s = 0;
    }

    /// One turn: takes in what was seen, and moves where it should.
    pub fn turn(&mut self, sight: &Sight) -> Vec<Change> {
        let elapsed_ms = (sight.now_ms - self.turned_ms).clamp(0, LONGEST_TURN_MS);
        self.turned_ms = self.turned_ms.max(sight.now_ms);
        let moves = self.record.moves.len();
        let held = self.hold.as_ref().map(|hold| hold.kind);
        self.take_in(sight);
        match self.phase {
            Phase::Pending => self.begin(sight),
            Phase::Step => self.on_step(sight, elapsed_ms),
            Phase::Paused => self.paused(sight),
            Phase::Promoting => self.promoting(sight, elapsed_ms),
            Phase::Promoted => self.after_promotion(sight),
            Phase::RollingBack => self.rolling_back(sight),
            Phase::RolledBack | Phase::Undecided | Phase::Finished => self.keep_back(sight),
        }
        self.read_metrics();
        let mut changes = Vec::new();
        if self.record.moves.len() != moves {
            changes.push(Change::Moved);
        }
        let holds = self.hold.as_ref().map(|hold| hold.kind);
        let is_news = |kind: Option<super::HoldKind>| kind.is_some_and(super::HoldKind::is_news);
        if holds != held && (is_news(holds) || is_news(held)) {
            changes.push(Change::Held);
        }
        if self.note_evidence() {
            changes.push(Change::Looked);
        }
        changes
    }

    /// Another phase or step, from now on.
    pub(super) fn go(&mut self, phase: Phase, why: String, by: &str) {
        self.phase = phase;
        self.since_ms = self.turned_ms;
        self.in_force_ms = None;
        self.hold = None;
        self.why.clone_from(&why);
        if phase != Phase::Paused {
            self.pause = None;
        }
        if phase == Phase::Step {
            // Whatever came before belongs to another share.
            self.last_request_ms = self.turned_ms;
        }
        if phase.is_over() {
            self.ended_ms = Some(self.turned_ms);
        }
        let entry = Move { at_ms: self.turned_ms, phase, weight: self.weight(), by: by.to_owned(), why };
        self.record.moved(entry);
        if phase.is_over() {
            self.tell_the_end();
        }
    }

    /// Takes the canary out, to end as told.
    pub(super) fn back(&mut self, ends_as: Phase, why: String, by: &str) {
        self.ends_as = ends_as;
        self.ended_ms = None;
        let had_traffic = self.has_begun && self.spec.strategy != Strategy::Mirror;
        let phase = if had_traffic { Phase::RollingBack } else { ends_as };
        self.go(phase, why, by);
    }

    fn rolling_back(&mut self, sight: &Sight) {
        let is_out = sight.held == self.wanted();
        let waited_ms = sight.now_ms - self.since_ms;
        let why = self.why.clone();
        if is_out || sight.fleet.proxies.is_empty() && waited_ms > HELD_BACK_MS {
            self.keeps_back = true;
            return self.go(self.ends_as, why, super::approach::BRAIN);
        }
        if let Some(refused) = sight.refused.as_ref().filter(|_| waited_ms > 2_000) {
            // Without its leases the configuration's weights hold.
            let why =
                format!("{why}; a proxy refuses to hold it out ({refused}): its configured weight applies");
            return self.go(self.ends_as, why, super::approach::BRAIN);
        }
        let why = "the proxies are asked to send it nothing more".to_owned();
        self.hold = Some(Hold { kind: super::HoldKind::Proxies, why });
    }

    /// Where the file gives a bad version traffic of its own, it is held out until the file does not.
    fn keep_back(&mut self, sight: &Sight) {
        let lately = self.ended_ms.is_some_and(|ms| sight.now_ms < ms + HELD_BACK_MS);
        let unknown = sight.fleet.proxies.is_empty();
        self.keeps_back &= lately || unknown || sight.fleet.canary.is_configured;
    }

    fn note_evidence(&mut self) -> bool {
        let last_ms = self.record.points.last().map_or(0, |point| point.at_ms);
        let moved = self.record.moves.last().is_some_and(|m| m.at_ms > last_ms && self.phase.is_over());
        let due = self.looked_to_ms > last_ms && self.turned_ms >= last_ms + POINT_MS;
        if !self.has_begun || self.record.totals.canary + self.record.previewed.canary == 0 || !(due || moved)
        {
            return false;
        }
        if self.phase.is_over() && !moved {
            return false;
        }
        let point = Point {
            at_ms: self.turned_ms,
            weight: self.weight(),
            totals: self.record.totals,
            needs: self.needs(),
            evidence: serde_json::to_value(self.judge.evidence()).unwrap_or_default(),
        };
        self.record.point(point);
        true
    }

    /// Requests the judge still needs, where it can say.
    #[must_use]
    pub fn needs(&self) -> Option<u64> {
        match self.judge.verdict() {
            Verdict::Undecided { needs_requests } => needs_requests,
            Verdict::Good | Verdict::Bad { .. } => Some(0),
        }
    }
}
