//! Whether who asks may do what is asked.
//!
//! One question, several engines: the rules of the configuration and Cedar's policies. Each that is configured
//! must allow it. Nothing is allowed that no rule or policy allows, and what cannot be evaluated is denied, by
//! the name of what could not be. In shadow mode the same is decided, counted and logged, and nobody refused.

#[cfg(feature = "cedar")]
pub mod cedar;
mod rules;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use protocol::id::ServiceName;

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
    /// All must allow; at least one.
    pub engines: Vec<Box<dyn Engine>>,
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
    /// What all engines say together: the first that does not allow it, else the last that does.
    #[must_use]
    pub fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a> {
        let mut decision = Decision::Deny(DEFAULT.into());
        for engine in &self.engines {
            decision = engine.decide(question);
            if !decision.allows() {
                break;
            }
        }
        let count = match &decision {
            Decision::Allow(_) => &self.counts.allowed,
            Decision::Deny(_) => &self.counts.denied,
            Decision::Broken(by) => {
                tracing::warn!(policy = %by, "a policy cannot be evaluated: denied");
                &self.counts.broken
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        decision
    }
}
