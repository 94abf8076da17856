//! The internal preview: before any user gets the canary, those get it who ask for it.
//!
//! They chose to, and test what others never do. So they count against a canary that is worse for them, but
//! never for it: with the first user the judge begins afresh, and from then on they are not counted.

use protocol::trial::Preview;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::Judge;
use super::{Canary, Hold, HoldKind, Phase};

/// Who gets the canary first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewStage {
    /// Where a request says that it wants the canary: `header:NAME` or `cookie:NAME`.
    pub key: String,
    /// What it says there, to the letter.
    pub value: String,
    /// So many such requests must have come before users get it.
    #[serde(default = "requests")]
    pub requests: u64,
}

fn requests() -> u64 {
    20
}

impl PreviewStage {
    /// As proxies are told.
    #[must_use]
    pub fn asking(&self) -> Preview {
        Preview { key: self.key.clone(), value: self.value.clone() }
    }

    /// What cannot be meant.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        self.asking().mistake()
    }
}

impl Canary {
    /// Whether it is there for those alone who ask for it.
    #[must_use]
    pub fn is_previewed(&self) -> bool {
        let phase = self.pause.as_ref().map_or(self.phase, |pause| pause.from);
        self.spec.preview.is_some() && phase == Phase::Step && self.step == 0
    }

    /// Why users do not get it yet.
    pub(super) fn unasked(&self) -> Option<Hold> {
        let (preview, came) = (self.spec.preview.as_ref()?, self.record.previewed.canary);
        let why = format!("{came} of {} requests asked for it by {}", preview.requests, preview.key);
        (came < preview.requests).then_some(Hold { kind: HoldKind::Traffic, why })
    }

    /// From now on it is for users: what was seen before belongs to others.
    pub(super) fn leave_preview(&mut self) {
        self.judge = Judge::new(&self.spec.judge);
        (self.laid, self.judged_ms) = (None, 0);
    }
}
