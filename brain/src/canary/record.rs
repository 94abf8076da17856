//! What is kept of a rollout for people: each move, and the evidence over time, within a bound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;
use super::judge::Look;

/// The most moves and points that are kept; points beyond are thinned, the story as a whole stays.
const MAX_MOVES: usize = 400;
const MAX_POINTS: usize = 720;
/// Of the rate, the share that one second brings.
const RATE_GAIN: f64 = 0.1;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// In order.
    pub moves: Vec<Move>,
    /// In order.
    pub points: Vec<Point>,
    /// Since users got it.
    pub totals: Totals,
    /// Before that, while it was there for those who asked for it: their requests, and the others'.
    #[serde(default)]
    pub previewed: Totals,
    /// Seconds that were counted since users got it.
    #[serde(default)]
    pub seconds: u64,
    /// Requests a second at the canary, lately.
    pub rate_rps: f64,
}

/// One move, or one wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// When.
    pub at_ms: i64,
    /// To this phase.
    pub phase: Phase,
    /// The canary's share from then on, percent.
    pub weight: u32,
    /// Who: `brain`, or a person.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The evidence at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// When.
    pub at_ms: i64,
    /// The canary's share, percent.
    pub weight: u32,
    /// Counts since the beginning.
    pub totals: Totals,
    /// Requests that the judge still needs, where it can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<u64>,
    /// What the judge goes by: e-values and bounds.
    pub evidence: serde_json::Value,
}

/// Requests and failures of both versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// At the stable version.
    pub stable: u64,
    /// Of them failed.
    pub stable_failed: u64,
    /// At the canary.
    pub canary: u64,
    /// Of them failed.
    pub canary_failed: u64,
}

impl Record {
    /// Counts one second, in which users got the canary or only those who `asked` for it.
    pub fn count(&mut self, look: &Look, asked: bool) {
        let mut here = 0;
        self.seconds += u64::from(!asked);
        let totals = if asked { &mut self.previewed } else { &mut self.totals };
        for stratum in &look.strata {
            let (stable, canary) = (&stratum.stable, &stratum.canary);
            totals.stable = totals.stable.saturating_add(stable.requests);
            totals.stable_failed = totals.stable_failed.saturating_add(stable.failures);
            totals.canary = totals.canary.saturating_add(canary.requests);
            totals.canary_failed = totals.canary_failed.saturating_add(canary.failures);
            here += canary.requests;
        }
        self.rate_rps += RATE_GAIN * (here as f64 - self.rate_rps);
    }

    /// Keeps a move.
    pub fn moved(&mut self, entry: Move) {
        if self.moves.len() >= MAX_MOVES {
            // The beginning tells what it was, the end why it ended.
            self.moves.remove(MAX_MOVES / 2);
        }
        self.moves.push(entry);
    }

    /// Keeps a point.
    pub fn point(&mut self, point: Point) {
        if self.points.len() >= MAX_POINTS {
            let mut nth = 0_usize;
            self.points.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.points.push(point);
    }
}
