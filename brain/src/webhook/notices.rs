//! What people are told without asking: a proposal that waits for them, harm that was done, a freeze.
//! The body is Slack's (`text`, `blocks`); whoever is not Slack finds the record's fields under `lightsout`.

use std::sync::Arc;

use reqwest::Url;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Webhook;
use crate::audit::Record;
use crate::domain::{EffectKind, Event, Proposal, Verdict};

/// The longest text of a message, characters.
const MAX_CHARS: usize = 2_500;

/// Sends a notice of every record that people should hear of, until `stop`.
pub async fn run(
    hook: Webhook,
    console: Option<Url>,
    mut records: broadcast::Receiver<Arc<Record>>,
    stop: CancellationToken,
) {
    while let Some(received) = stop.run_until_cancelled(records.recv()).await {
        match received {
            Ok(record) => {
                let Some(body) = notice(&record, console.as_ref()) else { continue };
                if let Some(Err(why)) = stop.run_until_cancelled(hook.send(&body)).await {
                    tracing::warn!(seq = record.seq, why, "a notice could not be delivered");
                }
            }
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "records passed while a notice was sent"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The message about a record; `None` where nobody needs one.
#[must_use]
pub fn notice(record: &Record, console: Option<&Url>) -> Option<Value> {
    let (title, text, page) = match record.event().ok()? {
        Event::Verdict { proposal, judgement } if judgement.verdict == Verdict::Ask => {
            let text = asked(&proposal, &judgement.why);
            (format!("Approval wanted: {}", proposal.id), text, format!("/#/proposals/{}", proposal.id))
        }
        Event::Effect { action, effect } if effect.kind == EffectKind::Harmed => {
            let title = format!("{} did harm and was undone", action.id);
            (title, effect.why, format!("/#/actions/{}", action.id))
        }
        Event::Autonomy { kind, mode, why } => {
            (format!("{kind} is now {mode:?}"), why, "/#/autonomy".to_owned())
        }
        Event::Frozen { by, .. } => {
            ("Frozen".to_owned(), format!("{} stopped all actions", by.id), "/".to_owned())
        }
        Event::Unfrozen { by } => {
            ("Unfrozen".to_owned(), format!("{} lets actions go on", by.id), "/".to_owned())
        }
        _ => return None,
    };
    let link = console.and_then(|url| url.join(&page).ok()).map(|url| url.to_string());
    let mut blocks = vec![json!({
        "type": "section",
        "text": {"type": "mrkdwn", "text": format!("*{}*\n{}", escaped(&title), escaped(&text))}
    })];
    if let Some(link) = &link {
        let button = json!({"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": link});
        blocks.push(json!({"type": "actions", "elements": [button]}));
    }
    let told = json!({
        "seq": record.seq, "at": record.at, "kind": record.kind, "service": record.service,
        "incident": record.incident, "action": record.action, "link": link, "hash": record.hash
    });
    Some(json!({"text": escaped(&title), "blocks": blocks, "lightsout": told}))
}

/// What a person must know to say yes or no.
fn asked(proposal: &Proposal, why: &str) -> String {
    let kind = serde_json::to_string(&proposal.action.kind).unwrap_or_default();
    let evidence = proposal.evidence.iter().take(3).map(|e| {
        format!("{}: {:.3} against {:.3} over {} requests", e.series, e.observed, e.baseline, e.requests)
    });
    let evidence: Vec<String> = evidence.collect();
    format!(
        "{} on {}\npredicted: {}\nconfidence {:.0} %, touches {:.0} % of capacity and {:.0} % of requests on {} \
         proxies\nevidence: {}\nasked because {why}\nexpires {}, digest {}",
        kind,
        proposal.action.service,
        proposal.predicted_effect,
        proposal.confidence * 100.0,
        proposal.radius.capacity * 100.0,
        proposal.radius.requests * 100.0,
        proposal.radius.proxies,
        evidence.join("; "),
        proposal.expires_at,
        proposal.digest.get(..12).unwrap_or_default()
    )
}

/// Slack's three characters, no control characters, bounded: labels of the mesh make no links and no mentions.
fn escaped(text: &str) -> String {
    let bounded = text.chars().filter(|c| !c.is_control() || *c == '\n').take(MAX_CHARS);
    bounded.fold(String::new(), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            c => safe.push(c),
        }
        safe
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::FIRST_PREV_HASH;
    use crate::domain::{Actor, ActorKind};

    fn record(value: Value) -> Record {
        let me = Actor { kind: ActorKind::Brain, id: "b".into() };
        let event: Event = serde_json::from_value(value).unwrap();
        Record::of(7, 0, &me, &event, FIRST_PREV_HASH).unwrap()
    }

    fn verdict(verdict: &str) -> Record {
        let action =
            json!({"service": "cart", "lease_ms": 5000, "kind": {"type": "shed_load", "fraction": 0.1}});
        let evidence = json!([{"signal": "errors", "series": "cart <!channel> & co", "observed": 0.5, "baseline": 0.001,
            "requests": 900, "window_s": 10, "since_ms": 0, "log_e": 30.0}]);
        let proposal = json!({
            "id": "prop-12", "digest": "ab".repeat(32), "state": "pending", "confidence": 0.7, "created_ms": 0,
            "expires_ms": 0, "expires_at": "soon", "action": action, "evidence": evidence,
            "predicted_effect": "less", "radius": {"capacity": 0.1, "requests": 0.1, "proxies": 3}, "speakers": []
        });
        let judgement = json!({"verdict": verdict, "why": "advisory mode", "checks": []});
        record(json!({"type": "verdict", "proposal": proposal, "judgement": judgement}))
    }

    #[test]
    fn who_must_agree_is_told_all_that_is_needed_with_a_link() {
        let console: Url = "https://mesh.example/".parse().unwrap();
        let body = notice(&verdict("ask"), Some(&console)).unwrap();
        let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
        for needed in
            ["prop-12", "shed_load", "70 %", "3 proxies", "0.500 against 0.001", "advisory mode", "abab"]
        {
            assert!(text.contains(needed), "no {needed} in {text}");
        }
        assert_eq!(body["lightsout"]["link"], "https://mesh.example/#/proposals/prop-12");
        assert_eq!(body["blocks"][1]["elements"][0]["url"], "https://mesh.example/#/proposals/prop-12");
    }

    #[test]
    fn text_from_the_mesh_calls_nobody_and_links_nowhere() {
        let text = notice(&verdict("ask"), None).unwrap().to_string();
        assert!(!text.contains("<!channel>") && text.contains("&lt;!channel&gt; &amp; co"), "{text}");
    }

    #[test]
    fn what_needs_nobody_is_not_sent() {
        assert_eq!(notice(&verdict("allow"), None), None);
        assert_eq!(notice(&record(json!({"type": "brain_started", "epoch": 1, "version": ""})), None), None);
    }
}
