//! `policies/*.yaml` as types: text in, policies out, every mistake with its place. Absent: files.

mod calendar;
mod canaries;
mod detection;
mod guard;
mod rules;

use protocol::document::{Document, Report};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use calendar::{During, FreezeWindow};
pub use canaries::{CanaryPolicy, Discovery};
pub use detection::{DetectionPolicy, Floor, PeerPolicy, ServicePolicy};
pub use guard::{AutonomyPolicy, BlastRadius, GuardPolicy, KindMode, KindPolicy, LifecyclePolicy, is_kind};
pub use rules::{AheadRule, Condition, Provision, Remedy, Rule, RulesPolicy, Surge};

const RULES: &str = include_str!("../../policies/rules.yaml");
const GUARD: &str = include_str!("../../policies/guard.yaml");
const CANARIES: &str = include_str!("../../policies/canaries.yaml");
const DETECTION: &str = include_str!("../../policies/detection.yaml");

/// The files by name, and what this build ships of each.
const SHIPPED: [(&str, &str); 4] = [
    ("guard.yaml", GUARD),
    ("rules.yaml", RULES),
    ("detection.yaml", DETECTION),
    ("canaries.yaml", CANARIES),
];

/// One of the files that policies are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyText {
    /// Its name.
    pub file: String,
    /// What it says.
    pub text: String,
    /// Whether it is the one that this build ships.
    pub shipped: bool,
}

/// Why texts are no policies.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file that policies are not made of.
    #[error("{0:?} is none of guard.yaml, rules.yaml, detection.yaml, canaries.yaml")]
    Unknown(String),
    /// A text with mistakes, all of them with their places.
    #[error("{0}")]
    Invalid(#[from] Report),
}

/// Everything people decide beforehand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    /// When something is wrong.
    pub detection: DetectionPolicy,
    /// What to do about it.
    pub rules: RulesPolicy,
    /// What may be done without asking.
    pub guard: GuardPolicy,
    /// Which canaries begin by themselves.
    pub canaries: CanaryPolicy,
}

impl Policies {
    /// The policies this build ships.
    ///
    /// # Errors
    /// Never in a build whose tests pass; the shipped texts are read like any other.
    pub fn shipped() -> Result<Self, Report> {
        Self::from_texts(&[])
    }

    /// The policies in these documents, told apart by file name; one that is not among them is as shipped,
    /// and files of other names are not ours.
    ///
    /// # Errors
    /// The first document with mistakes, all of them with their places.
    pub fn from_texts(texts: &[(&str, &str)]) -> Result<Self, Report> {
        let text = |file: &str, shipped| {
            let found = texts.iter().find(|(name, _)| name.rsplit(['/', '\\']).next() == Some(file));
            found.copied().unwrap_or((shipped_name(file), shipped))
        };
        Ok(Self {
            detection: read(text("detection.yaml", DETECTION), DetectionPolicy::findings)?,
            rules: read(text("rules.yaml", RULES), RulesPolicy::findings)?,
            guard: read(text("guard.yaml", GUARD), GuardPolicy::findings)?,
            canaries: read(text("canaries.yaml", CANARIES), CanaryPolicy::findings)?,
        })
    }

    /// The text of every file: the one among `texts`, told apart by file name, or else the shipped one.
    #[must_use]
    pub fn texts_among(texts: &[(String, String)]) -> Vec<PolicyText> {
        let text = |(file, shipped): &(&str, &str)| {
            let found = texts.iter().find(|(name, _)| name.rsplit(['/', '\\']).next() == Some(file));
            let text = found.map_or(*shipped, |(_, text)| text).to_owned();
            PolicyText { file: (*file).to_owned(), text, shipped: found.is_none() }
        };
        SHIPPED.iter().map(text).collect()
    }

    /// These policies, with nothing done alone below `least` (`advisor.decision_threshold`), 0 to 1.
    #[must_use]
    pub fn with_least_confidence(mut self, least: f64) -> Self {
        self.guard.raise_thresholds(least);
        self
    }
}

fn shipped_name(file: &str) -> &'static str {
    match file {
        "detection.yaml" => "shipped detection.yaml",
        "rules.yaml" => "shipped rules.yaml",
        "canaries.yaml" => "shipped canaries.yaml",
        _ => "shipped guard.yaml",
    }
}

/// The JSON Schemas of rules, guard, detection, canaries, and of a canary itself.
#[must_use]
pub fn schemas() -> [String; 5] {
    use protocol::document::schema_text;
    [
        schema_text::<RulesPolicy>(),
        schema_text::<GuardPolicy>(),
        schema_text::<DetectionPolicy>(),
        schema_text::<CanaryPolicy>(),
        schema_text::<crate::canary::CanarySpec>(),
    ]
}

/// What a policy finds wrong with its own values: JSON pointer and message.
type Findings = Vec<(String, String)>;

fn read<T: JsonSchema + DeserializeOwned>(
    (name, text): (&str, &str),
    findings: impl Fn(&T) -> Findings,
) -> Result<T, Report> {
    let document = Document::parse(name, text)?;
    let policy = document.read()?;
    match findings(&policy) {
        none if none.is_empty() => Ok(policy),
        some => Err(document.report(some)),
    }
}

/// The values outside their range, each as a finding.
fn out_of_range(checks: &[(&str, f64, f64, f64)]) -> Findings {
    let outside = checks.iter().filter(|(_, value, min, max)| !(min..=max).contains(&value));
    outside
        .map(|(path, value, min, max)| {
            ((*path).to_owned(), format!("{value} is not between {min} and {max}"))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_texts_say_what_is_built_in() {
        let shipped = Policies::shipped().unwrap();
        assert_eq!(shipped.detection, DetectionPolicy::default());
        assert_eq!(
            shipped.guard,
            GuardPolicy { kinds: shipped.guard.kinds.clone(), ..GuardPolicy::default() }
        );
        assert_eq!(shipped.canaries, CanaryPolicy::default());
        assert_eq!(shipped.rules.rules.len(), 8);
    }

    #[test]
    fn a_decision_threshold_raises_every_kind_and_lowers_none() {
        let raised = Policies::shipped().unwrap().with_least_confidence(0.9).guard;
        assert!((raised.kind("eject_endpoint").threshold - 0.9).abs() < 1e-12);
        assert!((raised.kind("promote_canary").threshold - 0.99).abs() < 1e-12);
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_told_with_their_place() {
        let wrong = [
            ("guard.yaml", "cooldwn_s: 3\n", "did you mean"),
            ("x/guard.yaml", "version: 1\nblast_radius: { service: 1.4, fleet: 0.2 }\n", ":2:"),
            ("detection.yaml", "alarms_per_service_week: 0\n", "not between"),
            ("canaries.yaml", "discovery: { template: { steps: [5, 5] } }\n", "do not rise"),
            (
                "rules.yaml",
                "rules:\n  - { name: a, when: { cause: gremlins }, propose: { action: none } }\n",
                "gremlins",
            ),
        ];
        for (name, text, part) in wrong {
            let report = Policies::from_texts(&[(name, text)]).unwrap_err().to_string();
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn rules_of_one_name_are_refused() {
        let rule = "  - { name: a, when: { cause: service }, propose: { action: none } }\n";
        let report = Policies::from_texts(&[("rules.yaml", &format!("rules:\n{rule}{rule}"))]).unwrap_err();
        assert!(report.to_string().contains("rules.yaml:3:"), "{report}");
    }
}
