//! A new configuration under active leases: the same derivation, asked again.

use std::sync::Arc;

use super::Control;
use crate::settings::Settings;

/// Parts that differ from those in force but hold only from the next start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("restart to change {}; nothing was reloaded", .0.join(", "))]
pub struct NeedsRestart(pub Vec<&'static str>);

impl Control {
    /// Puts `settings` in force. Leases that no longer fit are dropped, logged and counted.
    ///
    /// # Errors
    /// [`NeedsRestart`] when they differ in a part that is fixed at the start; nothing has changed then.
    pub async fn reload(&self, settings: Arc<Settings>) -> Result<(), NeedsRestart> {
        let _turn = self.turn.lock().await;
        let fixed = fixed_parts(&self.inner().settings, &settings);
        if !fixed.is_empty() {
            return Err(NeedsRestart(fixed));
        }
        let hash = settings.hash.clone();
        self.change(|inner| {
            inner.settings = Arc::clone(&settings);
            inner.rederive();
        });
        // After the swap: requests on their way keep their own hold on what is forgotten here.
        self.registry.retain(|name, endpoint| {
            let service = settings.services.get(name);
            service.is_some_and(|service| service.endpoints.iter().any(|e| e.id == *endpoint))
        });
        tracing::info!(config_hash = hash, "configuration reloaded");
        Ok(())
    }
}

fn fixed_parts(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let (server, other) = (&old.server, &new.server);
    let parts = [
        ("server.bind_address and server.port", server.bind != other.bind),
        ("server.workers", server.workers != other.workers),
        ("server.max_header_bytes", server.max_header_bytes != other.max_header_bytes),
        ("server.drain_ms", server.drain != other.drain),
        ("server.drain_timeout_ms", server.drain_timeout != other.drain_timeout),
        ("admin.bind_address and admin.port", old.admin.bind != new.admin.bind),
        ("admin.token_path", old.admin.token_path != new.admin.token_path),
        ("admin.viewer_token_path", old.admin.viewer_token_path != new.admin.viewer_token_path),
        ("whether there is an admin.tls", old.admin.tls.is_some() != new.admin.tls.is_some()),
        ("admin.state_path", old.admin.state_path != new.admin.state_path),
        ("admin.allowed_hosts", old.admin.allowed_hosts != new.admin.allowed_hosts),
        ("admin.hand_over_path", old.admin.hand_over_path != new.admin.hand_over_path),
        (
            "observability.access_log.{enabled,path,queue} and the collector of observability.tracing",
            !old.observability.starts_like(&new.observability),
        ),
        ("ai", old.ai != new.ai),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
