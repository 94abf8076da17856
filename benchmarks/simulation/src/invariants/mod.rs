//! What must hold after every step, judged from outside: from what each proxy holds, what each brain sends
//! and what each store says. Nothing here asks the brain's or the proxies' own checks.

mod approvals;
mod log;
mod proxies;
mod story;

use std::collections::BTreeMap;

pub use log::Log;
pub use proxies::Proxies;

/// Every invariant, by the number that ARCHITECTURE.md's table gives it, and in words.
pub const INVARIANTS: [(&str, &str); 21] = [
    ("lease-expiry", "a lease ends by the proxy's own clock, at most 1 s late, whatever became of the brain"),
    ("epoch-fencing", "no proxy obeys an epoch below the highest it has obeyed, also after a restart"),
    ("floor", "at least half of each service's configured weight stays servable, and one endpoint"),
    ("floor-shed", "no more than 0.9 of the requests is shed"),
    ("floor-blocks", "no block is wider than /24, and all together cover at most 16,384 addresses"),
    ("refused-changes-nothing", "what a proxy refuses leaves its live state as it was"),
    ("kill-switch", "a frozen proxy holds no lease and takes none"),
    (
        "intent-first",
        "nothing is put on a proxy before its intent is durable, naming action, change and proxy",
    ),
    ("chain", "each record is chained to the one before"),
    ("unique-ids", "no action's id is used twice in one store"),
    ("verdict-first", "no intent without an allowing verdict, or a person's approval, of its proposal"),
    (
        "approved-as-seen",
        "a person's approval counts only while nothing else that was begun on that service since is live",
    ),
    ("frozen-brain", "a brain that a person froze begins and widens nothing, also after a restart"),
    ("known-targets", "no action names a service or an endpoint that no proxy is configured with"),
    ("blast-radius", "all live actions of one life together take at most 0.4 of a service"),
    ("fresh-telemetry", "the brain begins nothing alone on telemetry older than 5 s"),
    ("reversals", "after two reversals of a target within an hour the brain asks, also after a restart"),
    (
        "harm-demotes",
        "after harm the brain does nothing of that kind alone for an hour, also after a restart",
    ),
    ("person-stands", "what a person refused or undid the brain does not do again for an hour"),
    (
        "never-half",
        "in calm weather an action is on all proxies that it should be on, or on none, but where a person stopped everything",
    ),
    ("all-ends", "with no brain left every proxy returns to its file within the longest lease"),
];

/// Something that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name in [`INVARIANTS`].
    pub invariant: &'static str,
    /// When, milliseconds since the start.
    pub at_ms: i64,
    /// What was seen.
    pub why: String,
}

/// All that was checked, and what did not hold.
#[derive(Debug, Default)]
pub struct Findings {
    /// How often each invariant was looked at.
    pub checked: BTreeMap<&'static str, u64>,
    /// The first of each sort and place, oldest first.
    pub violations: Vec<Violation>,
    pub now_ms: i64,
}

/// Violations that are kept of one world.
const MAX_KEPT: usize = 50;

impl Findings {
    /// Notes that `invariant` was looked at and, unless it `holds`, why it does not.
    pub fn check(&mut self, invariant: &'static str, holds: bool, why: impl FnOnce() -> String) {
        *self.checked.entry(invariant).or_default() += 1;
        if !holds && self.violations.len() < MAX_KEPT {
            self.violations.push(Violation { invariant, at_ms: self.now_ms, why: why() });
        }
    }
}
