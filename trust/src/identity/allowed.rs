//! Who is meant by a list of ids: each exactly, or all under a path (`spiffe://mesh.local/shop/*`).

use super::spiffe_id::{BadId, SpiffeId};

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// This workload.
    One(SpiffeId),
    /// Every workload whose id begins so; ends in `/`.
    Under(String),
}

impl Principal {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`BadId`]: what is left without `/*` is no id; a star stands nowhere else.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        match text.strip_suffix("/*") {
            Some(under) => SpiffeId::parse(under).map(|id| Self::Under(format!("{id}/"))),
            None => SpiffeId::parse(text).map(Self::One),
        }
    }

    /// Whether `id` is meant.
    #[must_use]
    pub fn means(&self, id: &SpiffeId) -> bool {
        match self {
            Self::One(one) => one == id,
            Self::Under(prefix) => id.as_str().starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_means_whole_segments() {
        let means = |principal: &str, id: &str| {
            Principal::parse(principal).unwrap().means(&SpiffeId::parse(id).unwrap())
        };
        for (principal, id, meant) in [
            ("spiffe://mesh.local/cart", "spiffe://mesh.local/cart", true),
            ("spiffe://mesh.local/cart", "spiffe://mesh.local/cart/admin", false),
            ("spiffe://mesh.local/cart/*", "spiffe://mesh.local/cart/admin", true),
            ("spiffe://mesh.local/cart/*", "spiffe://mesh.local/cart", false),
            ("spiffe://mesh.local/cart/*", "spiffe://mesh.local/carts/admin", false),
            ("spiffe://mesh.local/*", "spiffe://mesh.local.evil/a", false),
            ("spiffe://mesh.local/*", "spiffe://mesh.local/a/b", true),
        ] {
            assert_eq!(means(principal, id), meant, "{principal} {id}");
        }
    }

    #[test]
    fn a_star_stands_for_the_rest_and_for_nothing_else() {
        for text in ["*", "spiffe://*", "spiffe://mesh.local/ca*", "spiffe://mesh.local/*/a", "spiffe://*/a"]
        {
            assert!(Principal::parse(text).is_err(), "{text}");
        }
    }
}
