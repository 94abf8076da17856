//! What a brain keeps, read and forged by a second hand: its database, and the chain of its audit log.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The hash that `record` must bear: SHA-256, hex, of its canonical JSON (RFC 8785) without its `hash`.
///
/// # Errors
/// When it is no object.
pub fn hash_of_record(record: &Value) -> Result<String> {
    let mut record = record.clone();
    record.as_object_mut().context("no record")?.remove("hash");
    record.sort_all_objects();
    // These records hold no number that RFC 8785 and serde_json would write differently.
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(&record)?)))
}

/// What the sqlite3 shell says to `sql` about the database of the brain in `dir`. By a file: a statement may be longer than
/// a command line.
///
/// # Errors
/// When the shell is missing, or does not like it.
pub async fn sqlite(dir: &Path, sql: &str) -> Result<String> {
    std::fs::write(dir.join("statement.sql"), sql)?;
    let output = tokio::process::Command::new("sqlite3")
        .arg("brain-data/lightsout.db")
        .stdin(std::fs::File::open(dir.join("statement.sql"))?)
        .current_dir(dir)
        .output()
        .await
        .context("sqlite3 is not installed: `make test` installs it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
