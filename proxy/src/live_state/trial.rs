//! Which versions of a service are being tried: what the floor must know to tell a rollout from a loss.
//!
//! Capacity of a version on trial is not missed when it gets little or nothing: the service was whole
//! without it. Once a version is promoted, its own endpoints are the service.

use std::collections::BTreeSet;

use protocol::action::ActionKind;

use crate::settings::Service;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The version that was promoted, if it has endpoints.
    pub promoted: Option<String>,
    /// Versions that a split tries or a rollback has taken out.
    pub versions: BTreeSet<String>,
}

impl Trial {
    /// What these actions try of `service`.
    #[must_use]
    pub fn of(service: &Service, promoted: Option<&str>, kinds: &[&ActionKind]) -> Self {
        let there = |version: &&str| service.endpoints.iter().any(|e| e.version == **version);
        let tried = kinds.iter().filter_map(|kind| match kind {
            ActionKind::SetCanaryWeight { canary: version, .. } | ActionKind::RollbackCanary { version } => {
                Some(version.clone())
            }
            _ => None,
        });
        Self { promoted: promoted.filter(there).map(str::to_owned), versions: tried.collect() }
    }

    /// Whether the service would be whole without endpoints of `version`.
    #[must_use]
    pub fn spares(&self, version: &str) -> bool {
        self.versions.contains(version) || self.promoted.as_deref().is_some_and(|stable| stable != version)
    }

    /// Whether endpoints of `version` are known to carry traffic although the file gives them none.
    #[must_use]
    pub fn trusts(&self, version: &str) -> bool {
        self.versions.contains(version) || self.promoted.as_deref() == Some(version)
    }
}
