//! The built-in engine: rules of who may do what to what, from where. A rule that denies wins over all that
//! allow, whatever their order.

use http::Method;
use ipnet::IpNet;
use protocol::id::ServiceName;

use super::{DEFAULT, Decision, Engine, Question};
use crate::security::authentication::Principal;

/// All rules.
#[derive(Debug, Default)]
pub struct Rules(pub Vec<Rule>);

/// One rule: everything that it says must hold; what it does not say may be anything.
#[derive(Debug)]
pub struct Rule {
    /// Its name in logs.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// Who asks.
    pub principals: Vec<PrincipalRule>,
    /// What is said of who asks: each claim is, or holds, one of the texts.
    pub claims: Vec<(String, Vec<String>)>,
    /// From where.
    pub networks: Vec<IpNet>,
    /// The actions.
    pub methods: Vec<Method>,
    /// The paths.
    pub paths: Vec<PathRule>,
    /// The routes.
    pub routes: Vec<String>,
    /// The services: to allow, all that the route may lead to; to deny, one of them.
    pub services: Vec<ServiceName>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Lets pass.
    Allow,
    /// Refuses.
    Deny,
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalRule {
    /// Whoever is known.
    AnyKnown,
    /// `PROVIDER:ID`.
    Named(String),
    /// All whose name begins so.
    Prefix(String),
}

/// Which paths are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// This.
    Exact(String),
    /// This, without a slash at its end, and all below it.
    Below(String),
}

impl PrincipalRule {
    /// The rule that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::AnyKnown,
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Named(text.to_owned()),
        }
    }

    fn takes(&self, principal: &Principal) -> bool {
        match self {
            Self::AnyKnown => true,
            Self::Named(name) => principal.name == *name,
            Self::Prefix(prefix) => principal.name.starts_with(prefix.as_str()),
        }
    }
}

impl PathRule {
    /// The rule that is written so: a path, or `/PATH/*` for it and all below it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            |path: &str| path.is_empty() || (path.starts_with('/') && !path.contains(['*', '?', '#']));
        match text.strip_suffix("/*") {
            Some(path) => plain(path).then(|| Self::Below(path.to_owned())),
            None => (plain(text) && !text.is_empty()).then(|| Self::Exact(text.to_owned())),
        }
    }

    fn takes(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => own == path,
            Self::Below(own) => {
                path.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl Rule {
    fn takes(&self, asked: &Question<'_>) -> bool {
        let anyone = self.principals.is_empty() && self.claims.is_empty();
        (anyone || asked.principal.is_some_and(|principal| self.means(principal)))
            && (self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&asked.ip)))
            && (self.methods.is_empty() || self.methods.contains(asked.method))
            && (self.paths.is_empty() || self.paths.iter().any(|rule| rule.takes(asked.path)))
            && (self.routes.is_empty() || self.routes.iter().any(|route| route == asked.route))
            && (self.services.is_empty() || self.leads_there(asked.services))
    }

    fn means(&self, principal: &Principal) -> bool {
        let says = |(claim, wanted): &(String, Vec<String>)| {
            principal.texts(claim).any(|text| wanted.iter().any(|wanted| wanted == text))
        };
        (self.principals.is_empty() || self.principals.iter().any(|rule| rule.takes(principal)))
            && self.claims.iter().all(says)
    }

    fn leads_there(&self, services: &[ServiceName]) -> bool {
        let named = |service: &ServiceName| self.services.contains(service);
        match self.effect {
            Effect::Allow => !services.is_empty() && services.iter().all(named),
            Effect::Deny => services.iter().any(named),
        }
    }
}

impl Engine for Rules {
    fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a> {
        let first = |effect| self.0.iter().find(|rule| rule.effect == effect && rule.takes(question));
        if let Some(rule) = first(Effect::Deny) {
            return Decision::Deny(rule.name.as_str().into());
        }
        match first(Effect::Allow) {
            Some(rule) => Decision::Allow(rule.name.as_str().into()),
            None => Decision::Deny(DEFAULT.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_itself_or_what_lies_below_it_element_by_element() {
        let below = PathRule::parse("/admin/*").unwrap();
        for (path, taken) in
            [("/admin", true), ("/admin/", true), ("/admin/x", true), ("/administer", false), ("/", false)]
        {
            assert_eq!(below.takes(path), taken, "{path}");
        }
        assert!(PathRule::parse("/*").unwrap().takes("/x"));
        assert!(!PathRule::parse("/a").unwrap().takes("/a/b"));
        for wrong in ["", "a", "/a*", "/*/a", "/a?b", "a/*"] {
            assert_eq!(PathRule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rule_for_services_allows_no_route_that_also_leads_elsewhere() {
        let service = |name: &str| ServiceName::new(name).unwrap();
        let rule = |effect| Rule {
            name: "r".to_owned(),
            effect,
            principals: Vec::new(),
            claims: Vec::new(),
            networks: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
            routes: Vec::new(),
            services: vec![service("a")],
        };
        let (one, both) = ([service("a")], [service("a"), service("b")]);
        let (allow, deny) = (rule(Effect::Allow), rule(Effect::Deny));
        assert!(allow.leads_there(&one) && !allow.leads_there(&both) && !allow.leads_there(&[]));
        assert!(deny.leads_there(&one) && deny.leads_there(&both) && !deny.leads_there(&[service("b")]));
    }
}
