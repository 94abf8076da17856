//! Prometheus and promtool from the system (`make setup` installs them), as an operator has them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(60);

/// Runs promtool in `dir`, with `input` on its standard input.
///
/// # Errors
/// When it is not installed, or does not end within a minute.
pub async fn promtool(arguments: &[&str], dir: &Path, input: &str) -> Result<Output> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("promtool is not installed: run `make setup`")?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading everything has its reasons, and says them.
        let _closed_early = stdin.write_all(input.as_bytes()).await;
    }
    timeout(WITHIN, child.wait_with_output())
        .await
        .with_context(|| format!("promtool {arguments:?} did not end"))?
        .context("promtool")
}
