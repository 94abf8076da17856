//! What many worlds came to, as a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::invariants::{INVARIANTS, Violation};
use crate::plan::Faults;
use crate::world::Outcome;

/// The sum over worlds.
#[derive(Debug, Default)]
pub struct Report {
    /// Worlds that were lived through.
    pub seeds: u64,
    pub steps: u64,
    pub intents: u64,
    pub records: u64,
    pub faults: Faults,
    pub checked: BTreeMap<&'static str, u64>,
    /// By seed.
    pub violations: Vec<(u64, Violation)>,
}

impl Report {
    /// Counts a world in.
    pub fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.intents += outcome.intents;
        self.records += outcome.records;
        for (fault, n) in outcome.faults {
            *self.faults.entry(fault).or_default() += n;
        }
        for (invariant, n) in outcome.checked {
            *self.checked.entry(invariant).or_default() += n;
        }
        self.violations.extend(outcome.violations.into_iter().map(|v| (outcome.seed, v)));
    }

    /// Counts what another report counted.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.intents += other.intents;
        self.records += other.records;
        for (fault, n) in other.faults {
            *self.faults.entry(fault).or_default() += n;
        }
        for (invariant, n) in other.checked {
            *self.checked.entry(invariant).or_default() += n;
        }
        self.violations.extend(other.violations);
    }

    /// The page.
    #[must_use]
    pub fn page(&self, command: &str, seconds: f64) -> String {
        let mut page = String::from("# Everything at once, from a seed\n\n");
        let _ = writeln!(
            page,
            "`{command}` lives through {} worlds: {} steps of 250 ms, {} actions begun, {} audit records, in \
             {seconds:.0} s. Brain: its real control loop over a store in memory. Proxies: their real lease code and \
             state file. Network, clocks, disks and people: from the seed. `SEED=n make simulate` lives one again.\n",
            self.seeds, self.steps, self.intents, self.records
        );
        let _ = writeln!(page, "Violations: **{}**\n", self.violations.len());
        for (seed, violation) in self.violations.iter().take(20) {
            let _ = writeln!(
                page,
                "- seed {seed}: {} at {} ms: {}",
                violation.invariant, violation.at_ms, violation.why
            );
        }
        page.push_str("| what was done to it | times |\n|---|---|\n");
        for (fault, n) in &self.faults {
            let _ = writeln!(page, "| {} | {n} |", words(&format!("{fault:?}")));
        }
        page.push_str("\n| invariant | what must hold | looked at |\n|---|---|---|\n");
        for (name, meaning) in INVARIANTS {
            let n = self.checked.get(name).copied().unwrap_or(0);
            let _ = writeln!(page, "| {name} | {meaning} | {n} |");
        }
        page
    }
}

/// `MessageLost` as `message lost`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
