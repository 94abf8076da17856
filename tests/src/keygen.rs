//! `sidecar-proxy keygen`, as operators use it.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::process::run;

/// `sidecar-proxy keygen` with these words, which must be a success.
///
/// # Errors
/// With its standard error, when it fails.
pub async fn keygen(dir: &Path, arguments: &str) -> Result<()> {
    let words: Vec<&str> = ["keygen"].into_iter().chain(arguments.split(' ')).collect();
    let made = run("sidecar-proxy", &words, dir).await?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// An identity `spiffe://mesh.local/NAME` of the authority in `ca`, in the folder `NAME`.
///
/// # Errors
/// As [`keygen`].
pub async fn svid(dir: &Path, name: &str, more: &str) -> Result<()> {
    keygen(dir, &format!("svid --spiffe-id spiffe://mesh.local/{name} --ca ca --out {name}{more}")).await
}
