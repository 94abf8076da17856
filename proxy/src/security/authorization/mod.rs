//! Whether who asks may do what is asked.
//!
//! One question, several engines: the rules of the configuration, policies of Cedar and of Rego, and last an authorizer
//! elsewhere, which is asked only what the others allow. Each that is configured must allow it. Nothing is allowed that no rule or policy allows, and what cannot be evaluated is denied, by
//! the name of what could not be. In shadow mode the same is decided, counted and logged, and nobody refused.

#[cfg(feature = "cedar")]
pub mod cedar;
pub mod external;
#[cfg(feature = "rego")]
pub mod rego;
mod rules;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use protocol::id::ServiceName;

pub use external::External;
pub use rules::{Effect, PathRule, PrincipalRule, Rule, Rules};

use super::authentication::Principal;

/// What engines are asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks, where that is known.
    pub principal: Option<&'a Principal>,
    /// The client's address, as it is counted.
    pub ip: IpAddr,
    /// The action.
    pub method: &'a Method,
    /// The resource: the path, in the one spelling that endpoints get,
    pub path: &'a str,
    /// the host without port,
    pub host: &'a str,
    /// the route,
    pub route: &'a str,
    /// and all services that the route may lead to.
    pub services: &'a [ServiceName],
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Allowed, by this rule or policy.
    Allow(Cow<'a, str>),
    /// Denied by this one, or because none allows it: `default`.
    Deny(Cow<'a, str>),
    /// This one could not be evaluated.
    Broken(Cow<'a, str>),
}

/// Denied by nothing in particular.
pub const DEFAULT: &str = "default";

impl Decision<'_> {
    /// Whether it lets the request pass.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// As logs say it.
    #[must_use]
    pub fn text(&self, shadow: bool) -> String {
        let shadow = if shadow { "shadow-" } else { "" };
        match self {
            Self::Allow(by) => format!("{shadow}allow:{by}"),
            Self::Deny(by) => format!("{shadow}deny:{by}"),
            Self::Broken(by) => format!("{shadow}error:{by}"),
        }
    }
}

/// One way to decide.
pub trait Engine: Send + Sync {
    /// Whether it is allowed.
    fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a>;
}

/// See the module. Made once a configuration, shared by all workers.
pub struct Authorizer {
    /// All must allow.
    pub engines: Vec<Box<dyn Engine>>,
    /// And this one, asked after them. It or one of them is there.
    pub external: Option<Arc<External>>,
    /// Whether nobody is refused.
    pub shadow: bool,
    /// What was decided.
    pub counts: Counts,
}

/// What was decided since the configuration was put in force.
#[derive(Debug, Default)]
pub struct Counts {
    /// Allowed.
    pub allowed: AtomicU64,
    /// Denied, or would have been.
    pub denied: AtomicU64,
    /// Not to be evaluated, and so denied.
    pub broken: AtomicU64,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer")
            .field("engines", &self.engines.len())
            .field("shadow", &self.shadow)
            .finish()
    }
}

impl Authorizer {
    /// What all engines of this process say together: the first that does not allow it, else the last that
    /// does. `None`: there is none.
    #[must_use]
    pub fn judge<'a>(&'a self, question: &Question<'a>) -> Option<Decision<'a>> {
        let mut said = None;
        for engine in &self.engines {
            let decision = engine.decide(question);
            let allows = decision.allows();
            said = Some(decision);
            if !allows {
                break;
            }
        }
        said
    }

    /// Counts a decision.
    pub fn count(&self, decision: &Decision<'_>) {
        let count = match decision {
            Decision::Allow(_) => &self.counts.allowed,
            Decision::Deny(_) => &self.counts.denied,
            Decision::Broken(by) => {
                // By powers of two: a policy that is asked for every request is not to fill the log.
                if (self.counts.broken.load(Ordering::Relaxed) + 1).is_power_of_two() {
                    tracing::warn!(policy = %by, "this cannot be evaluated");
                }
                &self.counts.broken
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
