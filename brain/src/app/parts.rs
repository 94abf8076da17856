//! What the daemon is built from: tokens, addresses, the ids to go on with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::{AppError, BRAIN_ID, brain};
use crate::audit::{AuditReader, AuditStore, StoreError};
use crate::control_loop::LoopOptions;
use crate::domain::Event;
use crate::ingest::Target;
use crate::runtime::wall_clock_ms;
use crate::settings::Settings;
use crate::token::{Token, TokenError};

/// What the store knows of this brain's earlier lives, and the pen for its new one.
pub(super) struct Past {
    pub(super) store: AuditStore,
    pub(super) reader: AuditReader,
    pub(super) options: LoopOptions,
    pub(super) was_frozen: bool,
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
        first_incident: reader.highest_id("incident_opened", "$.incident.id", "inc-").await? + 1,
        first_proposal: reader.highest_id("proposal", "$.proposal.id", "prop-").await? + 1,
        first_action: reader.highest_id("intent", "$.action.id", "act-").await? + 1,
    };
    // A person's freeze outlives the brain that was frozen.
    let was_frozen = reader.last_of("frozen", "unfrozen").await?.is_some_and(|r| r.kind == "frozen");
    let started = Event::BrainStarted { epoch, version: env!("CARGO_PKG_VERSION").to_owned() };
    store.append(wall_clock_ms(), &[(brain(), started)]).await?;
    Ok(Past { store, reader, options, was_frozen })
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
