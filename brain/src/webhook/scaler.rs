//! Replicas, asked of whoever runs the services: a lease like any other, held by a webhook instead of by proxies.
//!
//! `wanted` says that the service should run at least so many replicas until `until`, and is said again before
//! that as long as they are wanted; `withdrawn` ends it before. What is neither renewed nor withdrawn (a brain that died) ends at
//! `until`: the receiver goes back to what it did without us. The same `action` again is the same wish.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use protocol::action::{ActionKind, ActionRequest, Receipt};
use protocol::id::ActionId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Webhook;
use crate::action::client::Unsent;
use crate::domain::{Command, Outcome, Reply, Verb};

/// Who holds leases of replicas. No proxy can have a name with a space.
pub const SCALER: &str = "scale webhook";
/// Commands that wait.
const MAX_WAITING: usize = 64;

/// The way to the receiver, one wish after the other. A wish that fails is asked again by its lease, which counts.
#[derive(Debug, Clone)]
pub struct Scaler {
    lane: mpsc::Sender<Command>,
}

impl Scaler {
    /// Asks `hook`; what it answers goes to `replies`. Ends when it is dropped.
    #[must_use]
    pub fn new(hook: Webhook, replies: mpsc::Sender<Reply>) -> Self {
        let (lane, commands) = mpsc::channel(MAX_WAITING);
        tokio::spawn(carry(hook, commands, replies));
        Self { lane }
    }

    /// Returns at once.
    ///
    /// # Errors
    /// The command, when too many wait.
    pub fn send(&self, command: Command) -> Result<(), Box<Unsent>> {
        self.lane.try_send(command).map_err(|unsent| {
            let why = format!("more than {MAX_WAITING} wishes wait for the scale webhook");
            Box::new(Unsent { command: unsent.into_inner(), why })
        })
    }
}

async fn carry(hook: Webhook, mut commands: mpsc::Receiver<Command>, replies: mpsc::Sender<Reply>) {
    let mut wishes: HashMap<String, ActionRequest> = HashMap::new();
    while let Some(command) = commands.recv().await {
        let outcome = ask(&hook, &command, &mut wishes).await;
        let at_ms = crate::clock::wall_clock_ms();
        if replies.send(Reply { command, at_ms, outcome }).await.is_err() {
            return;
        }
    }
}

async fn ask(hook: &Webhook, command: &Command, wishes: &mut HashMap<String, ActionRequest>) -> Outcome {
    let (epoch, state, lease_ms) = match &command.verb {
        Verb::Put(wish) => {
            wishes.insert(command.action.clone(), wish.clone());
            (wish.epoch.0, "wanted", wish.lease_ms)
        }
        Verb::Renew(renewal) => (renewal.epoch.0, "wanted", renewal.lease_ms),
        Verb::Remove { epoch } => (*epoch, "withdrawn", 0),
    };
    // What was never wished need not be withdrawn.
    let Some(wish) = wishes.get(&command.action) else { return Outcome::Removed };
    let now = Timestamp::now();
    let until = now.checked_add(Duration::from_millis(lease_ms)).unwrap_or(now);
    let said = hook.ask(&body(&command.action, wish, state, epoch, until)).await;
    let removing = matches!(command.verb, Verb::Remove { .. });
    match said {
        Ok(_) if removing => {
            wishes.remove(&command.action);
            Outcome::Removed
        }
        Ok(words) => ActionId::new(command.action.clone()).map_or(Outcome::Removed, |id| {
            Outcome::Taken(Receipt {
                id,
                applied_at: now,
                expires_at: until,
                live_state_hash_before: String::new(),
                live_state_hash_after: String::new(),
                answer: Some(words),
            })
        }),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// What the receiver reads.
fn body(action: &str, wish: &ActionRequest, state: &str, epoch: u64, until: Timestamp) -> Value {
    let replicas = match wish.kind {
        ActionKind::Scale { replicas } => Some(replicas),
        _ => None,
    };
    json!({
        "type": "scale", "action": action, "state": state, "epoch": epoch, "service": wish.service,
        "replicas": replicas, "until": until, "reason": wish.reason, "confidence": wish.confidence,
        "issued_by": wish.issued_by
    })
}
