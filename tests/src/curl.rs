//! curl, as operators and scripts use it.

use std::path::Path;

use anyhow::{Context, Result};

/// Runs curl in `dir`: the status and the body.
///
/// # Errors
/// curl is not there, or got no answer: the error is its own.
pub async fn curl(dir: &Path, arguments: &[&str]) -> Result<(u16, String)> {
    let mut command = tokio::process::Command::new("curl");
    command
        .args(["-sS", "--noproxy", "*", "-m", "10", "-w", "\n%{http_code}"])
        .args(arguments)
        .current_dir(dir);
    let output = command.kill_on_drop(true).output().await.context("curl is not there")?;
    anyhow::ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}

/// The same with the certificate and key of the workload `name`, which `keygen` has put into a folder of that name.
///
/// # Errors
/// curl is not there, or got no answer.
pub async fn curl_as(dir: &Path, name: &str, arguments: &[&str]) -> Result<(u16, String)> {
    let (certificate, key) = (format!("{name}/svid.pem"), format!("{name}/svid-key.pem"));
    curl(dir, &[&["--cert", &certificate, "--key", &key], arguments].concat()).await
}
