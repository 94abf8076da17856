//! Where every rule abstains what was learned may name a remedy; where that abstains too a language model may be asked, and what it says may be shown to a person. It is
//! never waited for, and nothing that a rule decides depends on it.

use std::collections::BTreeMap;

use serde_json::json;

use super::ControlLoop;
use crate::decision::advisor::{Counsel, Question, SPEAKER, judged, menu};
use crate::decision::{Advice, Circumstances, MODEL, WORTH_NAMING};
use crate::domain::{
    Actor, Decision, Event, Incident, PersonAnswer, ProposalState, ProposedAction, Speaker, TickOutput,
    Verdict,
};
use crate::learning::Opinion;

/// Questions that wait for an answer, at most.
const MAX_OPEN: usize = 64;
/// The longest answer that the audit log keeps, characters.
const MAX_KEPT_CHARS: usize = 4_000;
/// A model's choice is thought to help no more often than this before it has shown it.
const PRIOR: f64 = 0.4;

/// What is asked of a model, and what was.
#[derive(Debug, Default)]
pub(super) struct Consultation {
    /// Whether anybody is asked; and whether addresses are shown.
    pub(super) enabled: Option<bool>,
    /// By incident: the question that was asked last.
    asked: BTreeMap<String, Question>,
    /// To be asked.
    fresh: Vec<Question>,
}

impl ControlLoop {
    /// From now on a model is asked where rules abstain; `addresses`: it is shown endpoints by their addresses.
    pub fn consult(&mut self, addresses: bool) {
        self.consultation.enabled = Some(addresses);
    }

    /// What is to be asked, once.
    pub fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.consultation.fresh)
    }

    /// What was learned may name a remedy that no rule does: of those that could be carried out the one that most
    /// probably helps. Whether it names any; a person is asked.
    pub(super) fn ask_model(
        &mut self,
        incident: &Incident,
        now: &Circumstances,
        tried: &[&'static str],
        out: &mut TickOutput,
    ) -> bool {
        if self.desk.pending_for(&incident.id).is_some() {
            return true;
        }
        let named = menu(incident, now, tried).into_iter().filter_map(|candidate| {
            let said = self.said_of(&candidate.action, incident);
            let advice = Advice {
                action: candidate.action,
                confidence: said,
                said,
                speaker: MODEL.to_owned(),
                says: format!("the like has helped here: {}", candidate.says),
                abstained: Vec::new(),
                evidence: Vec::new(),
            };
            let drafted = self.draft(Some(incident), advice);
            let opinion = self.learned.opinion(&drafted, incident.cause.kind);
            let Opinion::Helps { probability, .. } = opinion else { return None };
            let worth_naming = opinion.is_from_here() && probability >= WORTH_NAMING;
            worth_naming.then_some((probability, drafted))
        });
        let best = named.max_by(|(a, _), (b, _)| a.total_cmp(b));
        let Some((_, mut proposal)) = best else { return false };
        let judgement = self.judge(&proposal, Some(&incident.cause));
        if judgement.verdict == Verdict::Deny {
            return false;
        }
        proposal.id = self.desk.next_id();
        self.settle(proposal, judgement, out);
        true
    }

    /// What is thought of an action that no rule speaks for, before anything is known of it.
    fn said_of(&self, action: &ProposedAction, incident: &Incident) -> f64 {
        incident.confidence * self.learned.helps(action.kind.name(), incident.cause.kind, PRIOR)
    }

    /// No rule has an answer to this incident.
    pub(super) fn ask_advisor(&mut self, incident: &Incident, now: &Circumstances, tried: &[&'static str]) {
        let Some(addresses) = self.consultation.enabled else { return };
        let known = self.consultation.asked.contains_key(&incident.id);
        if self.options.open_loop || known || self.consultation.asked.len() >= MAX_OPEN {
            return;
        }
        let menu = menu(incident, now, tried);
        if menu.is_empty() {
            return;
        }
        let question = Question::of(incident, menu, addresses);
        self.consultation.asked.insert(incident.id.clone(), question.clone());
        self.consultation.fresh.push(question);
    }

    /// Forgets what was asked about incidents that are over.
    pub(super) fn forget_questions(&mut self) {
        let book = &self.book;
        self.consultation.asked.retain(|incident, _| book.case(incident).is_some());
    }

    /// A model answered, or did not. Whatever it said is written down; what it chose waits for a person.
    pub(super) fn advised(
        &mut self,
        by: &Actor,
        digest: &str,
        model: &str,
        answer: Result<String, String>,
        out: &mut TickOutput,
    ) -> PersonAnswer {
        let question = self.consultation.asked.values().find(|q| q.digest == digest).cloned();
        let judged = match (&question, &answer) {
            (None, _) => Err("nobody asks this any more".to_owned()),
            (_, Err(why)) => Err(why.clone()),
            (Some(question), Ok(text)) => judged(question, text),
        };
        let kept = |text: &str| text.chars().take(MAX_KEPT_CHARS).collect::<String>();
        out.events.push((
            by.clone(),
            Event::Advised {
                incident: question.as_ref().map(|q| q.incident.clone()),
                model: model.to_owned(),
                prompt_hash: digest.to_owned(),
                answer: answer.as_deref().map(kept).unwrap_or_default(),
                heard: judged.is_ok(),
                why: match &judged {
                    Ok(counsel) => kept(&counsel.explanation),
                    Err(why) => kept(why),
                },
            },
        ));
        if let (Some(question), Ok(counsel)) = (question, judged) {
            self.propose_counsel(&question, counsel, model, out);
        }
        PersonAnswer::Done(json!({}))
    }

    fn propose_counsel(&mut self, question: &Question, counsel: Counsel, model: &str, out: &mut TickOutput) {
        let Some(choice) = counsel.choice else { return };
        let case = self.book.case(&question.incident).filter(|case| !case.settled);
        let Some(incident) = case.map(|case| case.incident.clone()) else { return };
        let busy = self.operations.iter().any(|o| o.incident.as_ref() == Some(&incident.id));
        if busy || self.desk.pending_for(&incident.id).is_some() {
            return;
        }
        let kind = choice.action.kind.name();
        let said = self.said_of(&choice.action, &incident);
        let ranking =
            Speaker { name: "ranking".to_owned(), confidence: said, says: counsel.ranking.join(" > ") };
        let advice = Advice {
            confidence: self.learned.calibrated(kind, said),
            said,
            speaker: format!("{SPEAKER}{model}"),
            says: counsel.explanation,
            abstained: vec![ranking],
            action: choice.action,
            evidence: Vec::new(),
        };
        let mut proposal = self.draft(Some(&incident), advice);
        proposal.id = self.desk.next_id();
        let mut judgement = self.judge(&proposal, Some(&incident.cause));
        // The guard asks wherever a model alone speaks; if it ever did not, nothing would be done still.
        if judgement.verdict == Verdict::Allow {
            judgement.verdict = Verdict::Ask;
        }
        self.settle(proposal, judgement, out);
    }

    /// A model's proposal gives way to a rule's, whatever it says.
    pub(super) fn give_way(&mut self, incident: &Incident, out: &mut TickOutput) {
        let me = self.me();
        let Some(pending) = self.desk.pending_for(&incident.id) else { return };
        if !pending.is_by_advisor() && !pending.is_by_model() {
            return;
        }
        pending.state = ProposalState::Expired;
        let (proposal, reason) = (pending.clone(), "a rule has an answer by now".to_owned());
        let over = Event::Decision { proposal, decision: Decision::Expired, by: me.clone(), reason };
        out.events.push((me, over));
    }
}
