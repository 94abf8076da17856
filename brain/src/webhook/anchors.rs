//! The head of the audit log, kept elsewhere now and then: whoever rewrites the whole log, hashes and all, does
//! not rewrite a file on another disk or a message in another system.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Webhook;
use crate::audit::AuditReader;

/// The log's end at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Anchor {
    /// RFC 3339, UTC.
    pub at: String,
    /// The last record then.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// Where anchors go, and how often.
#[derive(Debug, Clone)]
pub struct Anchoring {
    /// A file to which each is appended as one line of JSON.
    pub file: Option<PathBuf>,
    /// A receiver of each.
    pub hook: Option<Webhook>,
    /// From one to the next.
    pub every: Duration,
}

/// Anchors the log that `reader` reads, until `stop`, and once at the end.
pub async fn run(anchoring: Anchoring, reader: AuditReader, stop: CancellationToken) {
    let mut last = 0;
    let mut interval = tokio::time::interval(anchoring.every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let head = match reader.head().await {
            Ok(Some(head)) if head.0 > last => head,
            Ok(_) => continue,
            Err(why) => {
                tracing::warn!("the audit log's head cannot be read: {why}");
                continue;
            }
        };
        let anchor = Anchor { at: Timestamp::now().to_string(), seq: head.0, hash: head.1 };
        match anchoring.keep(&anchor).await {
            Ok(()) => last = anchor.seq,
            Err(why) => tracing::warn!(why, "the audit log's head could not be anchored"),
        }
    }
}

impl Anchoring {
    async fn keep(&self, anchor: &Anchor) -> Result<(), String> {
        if let Some(path) = &self.file {
            append(path, anchor).map_err(|why| format!("{}: {why}", path.display()))?;
        }
        if let Some(hook) = &self.hook {
            hook.send(&serde_json::json!({ "text": "audit head", "lightsout_anchor": anchor })).await?;
        }
        Ok(())
    }
}

fn append(path: &Path, anchor: &Anchor) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(anchor)?)?;
    file.sync_all()
}

/// The anchors in a file that [`run`] wrote.
///
/// # Errors
/// It cannot be read, or a line is no anchor; which is said.
pub fn read(path: &Path) -> Result<Vec<Anchor>, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let parse = |(n, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|why| format!("{} line {}: {why}", path.display(), n + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_a_line_that_is_read_again_and_garbage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchors.jsonl");
        let anchor = |seq| Anchor { at: "2026-01-01T00:00:00Z".into(), seq, hash: "ab".into() };
        append(&path, &anchor(1)).unwrap();
        append(&path, &anchor(9)).unwrap();
        assert_eq!(read(&path).unwrap(), [anchor(1), anchor(9)]);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().contains("line 1"));
    }
}
