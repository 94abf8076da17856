//! What the daemon is built from: tokens, addresses, the ids to go on with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::{AppError, BRAIN_ID, brain};
use trust::hosts::Hosts;

use crate::access::{Access, Doors, Key, Principal, Role};
use crate::advisor::{Advisor, Client};
use crate::audit::{AuditKey, AuditReader, AuditStore, Numbered, Retention, StoreError};
use crate::canary::Canary;
use crate::clock::wall_clock_ms;
use crate::control_loop::LoopOptions;
use crate::domain::{Actor, Event, KeptCanary, Mode, PersonRequest};
use crate::guard::RECALLED;
use crate::ingest::Target;
use crate::runtime::Inbox;
use crate::settings::{HookSettings, OPERATOR, Settings};
use crate::state::Memory;
use crate::token::{Token, TokenError};
use crate::webhook::Webhook;
use crate::webhook::anchors::Anchoring;

/// What the store knows of this brain's earlier lives, and the pen for its new one.
pub(super) struct Past {
    pub(super) store: AuditStore,
    pub(super) reader: AuditReader,
    pub(super) options: LoopOptions,
    pub(super) was_frozen: bool,
    /// What people last said of the mode as a whole and of kinds of action.
    pub(super) modes: Vec<(Mode, Option<String>)>,
    /// What its last life knew of the mesh.
    pub(super) memory: Option<Memory>,
    /// Rollouts, the oldest first, and the number of the last one.
    pub(super) canaries: (Vec<Canary>, u64),
    /// What its lives did and were told in the last hour, oldest first.
    pub(super) lately: Vec<(i64, Actor, Event)>,
}

/// How far back what was done counts, and the most records of it that are read.
const LATELY_MS: i64 = 3_600_000;
const MAX_LATELY: u32 = 20_000;

/// What a person forbade before a restart stays forbidden.
pub(super) fn restrain(inbox: &mut Inbox, was_frozen: bool, modes: Vec<(Mode, Option<String>)>, bound: Mode) {
    if was_frozen {
        tracing::warn!("a person froze this brain before its restart; it stays frozen until unfrozen");
        inbox.put_request(brain(), PersonRequest::Freeze { revert_all: false });
    }
    for (mode, kind) in modes {
        let lower = mode < if kind.is_some() { Mode::Autonomous } else { bound };
        if lower {
            tracing::warn!(?mode, kind, "a person lowered the mode before this brain's restart; it stays so");
            inbox.put_request(brain(), PersonRequest::SetMode { mode, kind });
        }
    }
}

/// Opens the store, and writes the start into it: a log that cannot be written is found here.
pub(super) async fn recall(data_dir: &Path) -> Result<Past, StoreError> {
    let mut store = AuditStore::open(data_dir).await?;
    let reader = AuditReader::open(data_dir).await?;
    let epoch = store.epoch();
    let options = LoopOptions {
        epoch,
        brain_id: BRAIN_ID.to_owned(),
        open_loop: false,
        budgets: true,
        // Names are not used twice within one store.
        first_incident: reader.highest(Numbered::Incident).await? + 1,
        first_proposal: reader.highest(Numbered::Proposal).await? + 1,
        first_action: reader.highest(Numbered::Action).await? + 1,
    };
    // A person's freeze outlives the brain that was frozen.
    let was_frozen = reader.last_of("frozen", "unfrozen").await?.is_some_and(|r| r.kind == "frozen");
    // So does a mode below brain.yaml's: a crash must not give back what a person took away.
    let modes = reader.last_modes().await?.into_iter().filter_map(|r| mode_of(&r.data)).collect();
    let lately = lately(&reader).await?;
    let started = Event::BrainStarted { epoch, version: env!("CARGO_PKG_VERSION").to_owned() };
    store.append(wall_clock_ms(), &[(brain(), started)]).await?;
    let memory = memory(&mut store).await;
    let last = reader.highest(Numbered::Canary).await?;
    let canaries = (canaries(&mut store).await?, last);
    Ok(Past { store, reader, options, was_frozen, modes, memory, canaries, lately })
}

/// A rollout that cannot be read is not gone on with; its leases run out, which takes it back.
async fn canaries(store: &mut AuditStore) -> Result<Vec<Canary>, StoreError> {
    let read = |kept: KeptCanary| {
        serde_json::from_str(&kept.state)
            .inspect_err(|why| tracing::error!("canary {} is of another build and given up: {why}", kept.id))
            .ok()
    };
    let mut canaries: Vec<Canary> = store.kept_canaries().await?.into_iter().filter_map(read).collect();
    canaries.sort_by_key(|canary| canary.created_ms);
    Ok(canaries)
}

/// Records that another build wrote in another shape are passed over.
async fn lately(reader: &AuditReader) -> Result<Vec<(i64, Actor, Event)>, StoreError> {
    let since = jiff::Timestamp::from_millisecond(wall_clock_ms() - LATELY_MS).unwrap_or_default();
    let records = reader.lately(&RECALLED, since, MAX_LATELY).await?;
    Ok(records.into_iter().filter_map(|r| Some((r.at_ms()?, r.actor.clone(), r.event().ok()?))).collect())
}

/// What cannot be read is learned again: no reason not to start.
async fn memory(store: &mut AuditStore) -> Option<Memory> {
    let knowledge = match store.remembered().await {
        Ok(knowledge) => knowledge?,
        Err(why) => {
            tracing::warn!("what an earlier life knew of the mesh is learned again: {why}");
            return None;
        }
    };
    serde_json::from_slice(&knowledge)
        .inspect_err(|why| tracing::warn!("what an earlier life knew of the mesh is learned again: {why}"))
        .ok()
}

fn mode_of(data: &serde_json::Value) -> Option<(Mode, Option<String>)> {
    let mode = serde_json::from_value(data.get("mode")?.clone()).ok()?;
    Some((mode, data.get("kind").and_then(serde_json::Value::as_str).map(str::to_owned)))
}

type Tokens = (BTreeMap<String, Target>, Option<Token>);

/// The tokens of action APIs: they must exist, for only their proxies can make them.
pub(super) fn read_tokens(settings: &Settings) -> Result<Tokens, TokenError> {
    let mesh = settings.mesh_token_path.as_deref().map(Token::read).transpose()?;
    if mesh.is_none() {
        tracing::warn!("no mesh_token_path: proxies without a token_path of their own will refuse actions");
    }
    let mut targets = BTreeMap::new();
    for (id, proxy) in &settings.proxies {
        let own = proxy.token_path.as_deref().map(Token::read).transpose()?;
        let target = Target { admin: proxy.admin.clone(), token: own.or_else(|| mesh.clone()) };
        targets.insert(id.clone(), target);
    }
    Ok((targets, mesh))
}

/// The API's own token and those of the people who are listed, of whom two cannot have the same; and those that
/// `lightsout token` made.
pub(super) fn access(settings: &Settings, own: &Token) -> Result<Access, AppError> {
    let mut keys = vec![Key::fixed(own, Principal::new(OPERATOR, Role::Operator))];
    let mut workloads = Vec::new();
    for person in &settings.people {
        workloads.extend(person.spiffe_id.clone().map(|id| (id, person.who.clone())));
        let Some(path) = &person.token_path else { continue };
        let token = Token::read(path)?;
        if let Some(other) = keys.iter().find(|known| known.digest == token.digest()) {
            let why = format!("{} and {} have the same one", other.who.actor.id, person.who.actor.id);
            return Err(AppError::Part("tokens", why));
        }
        keys.push(Key::fixed(&token, person.who.clone()));
    }
    let doors = Doors {
        hosts: Hosts::new(settings.allowed_hosts.iter().cloned()),
        open_reads: settings.open_reads,
        secured: settings.api_tls.is_some(),
        workloads,
    };
    let access = Access::new(keys, doors);
    access.read_book(&settings.data_dir).map_err(|why| AppError::Part("tokens", why.to_string()))?;
    Ok(access)
}

/// Who is told when a person is needed, with the console's address.
pub(super) fn notify(settings: &Settings) -> Result<Option<(Webhook, Option<reqwest::Url>)>, AppError> {
    let hook = settings.notify.as_ref().map(|given| webhook("notify", given)).transpose()?;
    Ok(hook.map(|hook| (hook, settings.console_url.clone())))
}

/// Who is asked for replicas.
pub(super) fn scale_hook(settings: &Settings) -> Result<Option<Webhook>, AppError> {
    settings.scaler.as_ref().map(|given| webhook("scale webhook", given)).transpose()
}

/// How much of the audit log is kept; `None`: all of it.
pub(super) fn retention(settings: &Settings) -> Result<Option<Retention>, TokenError> {
    let (keep_days, keep_records) = (settings.audit.keep_days, settings.audit.keep_records);
    if keep_days.is_none() && keep_records.is_none() {
        return Ok(None);
    }
    let keep_ms = keep_days.map(|days| i64::from(days) * 86_400_000);
    Ok(Some(Retention { keep_ms, keep_records, key: AuditKey::read_or_make(&settings.data_dir)? }))
}

/// Where the audit log's head is kept.
pub(super) fn anchoring(settings: &Settings) -> Result<Option<Anchoring>, AppError> {
    let given = &settings.audit;
    let hook = given.anchor_hook.as_ref().map(|given| webhook("audit anchor", given)).transpose()?;
    if given.anchor_path.is_none() && hook.is_none() {
        return Ok(None);
    }
    Ok(Some(Anchoring { file: given.anchor_path.clone(), hook, every: given.anchor_every }))
}

/// The language model that may be asked, if any.
pub(super) fn advisor(settings: &Settings) -> Result<Option<Advisor>, AppError> {
    let Some(given) = &settings.advisor else { return Ok(None) };
    let part = |why: String| AppError::Part("advisor", why);
    let key = std::fs::read_to_string(&given.key_path)
        .map_err(|why| part(format!("{}: {why}", given.key_path.display())))?;
    let key = key.trim().to_owned();
    if key.is_empty() {
        return Err(part(format!("{} holds no key", given.key_path.display())));
    }
    let client = Client::new(given.provider, given.base.clone(), given.model.clone(), key, given.deadline);
    Ok(Some(Advisor::new(client.map_err(part)?, given.limits)))
}

fn webhook(name: &'static str, given: &HookSettings) -> Result<Webhook, AppError> {
    let built = Webhook::new(given.url.clone(), given.secret_path.as_deref());
    built.map_err(|why| AppError::Part(name, why))
}

pub(super) fn own_token(path: &Path, name: &str) -> Result<Token, TokenError> {
    let (token, made) = Token::read_or_make(path)?;
    if made {
        tracing::info!(path = %path.display(), "made the {name} token");
    }
    Ok(token)
}

pub(super) async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, AppError> {
    TcpListener::bind(address).await.map_err(|why| AppError::Listen { address, key, why })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<(crate::domain::Actor, Event)> {
        let action =
            json!({"service": "cart", "lease_ms": 5000, "kind": {"type": "shed_load", "fraction": 0.1}});
        let incident = json!({
            "id": "inc-7", "state": "open", "service": "cart", "cause": {"kind": "service", "service": "cart"},
            "confidence": 0.9, "onset_ms": 0, "opened_ms": 0, "updated_ms": 0, "summary": "", "evidence": [],
            "alternatives": []
        });
        let proposal = json!({
            "id": "prop-12", "digest": "", "state": "pending", "confidence": 0.9, "created_ms": 0, "expires_ms": 0,
            "expires_at": "", "action": action, "evidence": [], "predicted_effect": "",
            "radius": {"capacity": 0.0, "requests": 0.0, "proxies": 1}, "speakers": []
        });
        let intent = json!({
            "id": "act-99", "proposal": "prop-12", "action": action, "phase": "applying", "reason": "",
            "confidence": 0.9, "issued_by": "brain", "started_ms": 0, "receipts": {}, "renewals": 0
        });
        let all = [
            json!({"type": "incident_opened", "incident": incident, "windows_digest": ""}),
            json!({"type": "proposal", "proposal": proposal}),
            json!({"type": "intent", "action": intent, "proxies": ["p1"]}),
            json!({"type": "mode", "by": brain(), "mode": "autonomous"}),
            json!({"type": "mode", "by": brain(), "mode": "observe", "kind": "eject_endpoint"}),
            json!({"type": "mode", "by": brain(), "mode": "observe"}),
            json!({"type": "frozen", "by": brain(), "revert_all": true}),
        ];
        all.into_iter().map(|event| (brain(), serde_json::from_value(event).unwrap())).collect()
    }

    #[tokio::test]
    async fn a_restarted_brain_goes_on_with_new_names_a_higher_epoch_and_the_freeze() {
        let folder = tempfile::tempdir().unwrap();
        let mut past = recall(folder.path()).await.unwrap();
        assert_eq!((past.options.first_incident, past.options.epoch, past.was_frozen), (1, 1, false));
        past.store.append(0, &events()).await.unwrap();
        drop(past);
        let past = recall(folder.path()).await.unwrap();
        let options = &past.options;
        assert_eq!((options.first_incident, options.first_proposal, options.first_action), (8, 13, 100));
        assert_eq!((options.epoch, past.was_frozen), (2, true));
        let of_kind = (Mode::Observe, Some("eject_endpoint".to_owned()));
        assert_eq!(past.modes, [of_kind, (Mode::Observe, None)], "the last word on each");
    }
}
