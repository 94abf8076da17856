//! What came back, judged: a choice from the menu with its numbers recomputed, or nothing.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::menu::Candidate;
use super::question::Question;
use crate::domain::Evidence;

/// The longest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 16 << 10;
/// The longest explanation that is kept, characters.
const MAX_EXPLANATION_CHARS: usize = 1_200;
/// The most citations.
const MAX_CITES: usize = 32;
/// A number may be rounded by so much of itself.
const ROUNDING: f64 = 0.01;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    choice: String,
    ranking: Vec<String>,
    explanation: String,
    cites: Vec<Cite>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cite {
    evidence: String,
    field: String,
    value: f64,
}

/// An answer that may be heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Counsel {
    /// The candidate that it chose; absent: it abstains.
    pub choice: Option<Candidate>,
    /// The ids of the menu, best first, as far as it ranked them.
    pub ranking: Vec<String>,
    /// Why, on one line.
    pub explanation: String,
}

/// The counsel in `text`, which answers `question`.
///
/// # Errors
/// Why it is not heard.
pub fn judged(question: &Question, text: &str) -> Result<Counsel, String> {
    if text.len() > MAX_ANSWER_BYTES {
        return Err(format!("an answer of {} bytes is too long", text.len()));
    }
    let answer: Answer = serde_json::from_str(text).map_err(|why| format!("not of the schema: {why}"))?;
    let offered = |id: &str| question.menu.iter().find(|c| c.id == id);
    let choice = match answer.choice.as_str() {
        "abstain" => None,
        id => Some(offered(id).ok_or("it chose what is not on the menu")?.clone()),
    };
    let distinct: BTreeSet<&String> = answer.ranking.iter().collect();
    if distinct.len() != answer.ranking.len() || answer.ranking.iter().any(|id| offered(id).is_none()) {
        return Err("it ranked what is not on the menu, or twice".to_owned());
    }
    if answer.cites.len() > MAX_CITES || (choice.is_some() && answer.cites.is_empty()) {
        return Err("it must cite evidence, within a bound".to_owned());
    }
    answer.cites.iter().try_for_each(|cite| recomputed(cite, &question.evidence))?;
    let line = answer.explanation.chars().map(|c| if c.is_control() { ' ' } else { c });
    let explanation: String = line.take(MAX_EXPLANATION_CHARS).collect();
    if explanation.trim().is_empty() {
        return Err("it explains nothing".to_owned());
    }
    Ok(Counsel { choice, ranking: answer.ranking, explanation })
}

/// Whether a cited number is that of the evidence.
fn recomputed(cite: &Cite, evidence: &[Evidence]) -> Result<(), String> {
    let number = cite.evidence.strip_prefix('e').and_then(|n| n.parse::<usize>().ok());
    let found = number.and_then(|n| evidence.get(n.checked_sub(1)?));
    let found = found.ok_or("it cites evidence that there is not")?;
    let is = match cite.field.as_str() {
        "observed" => found.observed,
        "baseline" => found.baseline,
        "requests" => found.requests as f64,
        _ => return Err("it cites a field that there is not".to_owned()),
    };
    let off = (cite.value - is).abs();
    if off.is_finite() && off <= is.abs() * ROUNDING + 1e-6 {
        Ok(())
    } else {
        Err(format!("it cites {} where {is} was measured", cite.value))
    }
}
