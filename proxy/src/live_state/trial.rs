//! Which versions of a service are being tried: what the floor must know to tell a rollout from a loss, and
//! how requests reach a version on trial other than by its share.
//!
//! Capacity of a version on trial is not missed when it gets little or nothing: the service was whole
//! without it. Once a version is promoted, its own endpoints are the service.

use std::collections::BTreeSet;

use protocol::action::ActionKind;
use protocol::trial::{Copies, Preview};

use crate::settings::Service;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The version that was promoted, if it has endpoints.
    pub promoted: Option<String>,
    /// Versions that a split tries or a rollback has taken out.
    pub versions: BTreeSet<String>,
    /// The version for those who ask for it.
    pub preview: Option<(String, Preview)>,
    /// The version that gets copies.
    pub copies: Option<(String, Copies)>,
}

impl Trial {
    /// What these actions try of `service`; of several splits the latest says who may ask and what is
    /// copied, and nothing leads to a version that is rolled back.
    #[must_use]
    pub fn of(service: &Service, promoted: Option<&str>, kinds: &[&ActionKind]) -> Self {
        let there = |version: &&str| service.endpoints.iter().any(|e| e.version == **version);
        let mut trial = Self { promoted: promoted.filter(there).map(str::to_owned), ..Self::default() };
        for kind in kinds {
            match kind {
                ActionKind::SetCanaryWeight { canary, preview, copies, .. } => {
                    trial.versions.insert(canary.clone());
                    trial.preview = preview.clone().map(|preview| (canary.clone(), preview));
                    trial.copies = copies.map(|copies| (canary.clone(), copies));
                }
                ActionKind::RollbackCanary { version } => {
                    trial.versions.insert(version.clone());
                }
                _ => {}
            }
        }
        for kind in kinds {
            if let ActionKind::RollbackCanary { version } = kind {
                trial.preview.take_if(|(tried, _)| tried == version);
                trial.copies.take_if(|(tried, _)| tried == version);
            }
        }
        trial
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::sample::service;

    #[test]
    fn the_latest_split_says_who_may_ask_and_a_rollback_shuts_all_ways() {
        let cart = service("cart", &[("v1", 100), ("v2", 0)]);
        let preview = Preview { key: "header:x-preview".into(), value: "yes".into() };
        let split = |preview: Option<&Preview>| ActionKind::SetCanaryWeight {
            stable: "v1".into(),
            canary: "v2".into(),
            weight: 0,
            preview: preview.cloned(),
            copies: Some(Copies { percent: 10, all_methods: false }),
        };
        let back = ActionKind::RollbackCanary { version: "v2".into() };
        let asked = Some(("v2".to_owned(), preview.clone()));
        assert_eq!(Trial::of(&cart, None, &[&split(None), &split(Some(&preview))]).preview, asked);
        assert_eq!(Trial::of(&cart, None, &[&split(Some(&preview)), &split(None)]).preview, None);
        let shut = Trial::of(&cart, None, &[&back, &split(Some(&preview))]);
        assert_eq!((shut.preview, shut.copies), (None, None));
    }
}
