//! How long the audit log is kept, and where its head is beyond this disk.

use std::path::PathBuf;

use super::Findings;
use super::hooks::{HookSettings, hook};

/// Fewer audit records are no record of anything.
const LEAST_KEPT: u64 = 1_000;

/// See the module.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// Where its head is kept.
    pub anchor_path: Option<PathBuf>,
    /// To whom it is sent.
    pub anchor_hook: Option<HookSettings>,
    /// How often.
    pub anchor_every: std::time::Duration,
    /// Records older than so many days are removed.
    pub keep_days: Option<u32>,
    /// Of more records than these the oldest are removed.
    pub keep_records: Option<u64>,
}

pub(super) fn audit(given: crate::config::Audit, findings: &mut Findings) -> AuditSettings {
    let every_s = given.anchor_every_s.unwrap_or(600);
    if !(1..=86_400).contains(&every_s) {
        findings.push(("/audit/anchor_every_s".to_owned(), format!("1 to 86400 seconds, not {every_s}")));
    }
    if given.keep_days.is_some_and(|days| !(1..=36_500).contains(&days)) {
        findings.push(("/audit/keep_days".to_owned(), "1 to 36500 days".to_owned()));
    }
    if given.keep_records.is_some_and(|records| records < LEAST_KEPT) {
        findings.push(("/audit/keep_records".to_owned(), format!("at least {LEAST_KEPT} records")));
    }
    AuditSettings {
        anchor_path: given.anchor_path,
        anchor_hook: hook("/audit/anchor_url", given.anchor_url, given.anchor_secret_path, findings),
        anchor_every: std::time::Duration::from_secs(every_s.max(1)),
        keep_days: given.keep_days,
        keep_records: given.keep_records,
    }
}
