//! `keygen`: the mesh's own authority, and identities of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::identity::SpiffeId;

/// The longest time that may be asked for: ten years.
const MAX_TTL_S: u64 = 3_650 * 86_400;

/// What to make.
#[derive(Debug, Subcommand)]
pub enum Keygen {
    /// An authority for a trust domain: ca.pem and ca-key.pem.
    Ca(KeygenCa),
    /// An identity of a workload: svid.pem, svid-key.pem and bundle.pem, whom it should believe.
    Svid(KeygenSvid),
    /// A workload's identity as a SPIFFE agent (SPIRE) gives it over the Workload API: the same three files.
    Fetch(KeygenFetch),
}

/// `keygen fetch`.
#[derive(Debug, Args)]
pub struct KeygenFetch {
    /// The agent's Unix socket: unix:/run/spire/agent/public/api.sock.
    #[arg(long, value_name = "unix:PATH", env = "SPIFFE_ENDPOINT_SOCKET")]
    pub socket: String,
    /// The folder to write the files in, 0600; what is there is replaced.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Take this identity where the agent has several for us; the first where absent.
    #[arg(long, value_name = "ID", value_parser = SpiffeId::parse)]
    pub spiffe_id: Option<SpiffeId>,
    /// Stay, and write each new one as the agent rotates it; proxies that watch the files follow by themselves.
    #[arg(long)]
    pub watch: bool,
}

/// `keygen ca`.
#[derive(Debug, Args)]
pub struct KeygenCa {
    /// The trust domain, such as mesh.local.
    #[arg(long, value_name = "DOMAIN")]
    pub trust_domain: String,
    /// The folder to make the files in, 0600. What is there is never replaced.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long it holds: 365d, 12h, 30m or 90s.
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = ttl)]
    pub ttl: Duration,
}

/// `keygen svid`.
#[derive(Debug, Args)]
pub struct KeygenSvid {
    /// The workload: spiffe://DOMAIN/PATH.
    #[arg(long, value_name = "ID", value_parser = SpiffeId::parse)]
    pub spiffe_id: SpiffeId,
    /// The folder with the authority's ca.pem and ca-key.pem.
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The folder to make the files in, 0600.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long it holds, no longer than the authority: 24h, 30m, 90s or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = ttl)]
    pub ttl: Duration,
    /// A host name or address that the certificate is for too; may be repeated.
    #[arg(long = "dns", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Replace the identity in the folder.
    #[arg(long)]
    pub renew: bool,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let unit = |text: &str| match text {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(at);
    let seconds = number.parse::<u64>().ok().zip(unit(rest)).and_then(|(n, unit)| n.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=MAX_TTL_S) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("from 1s to 3650d".to_owned()),
        None => Err("a number and s, m, h or d, such as 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(ttl("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(ttl("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "24", "h", "0s", "1.5h", "-1h", "3651d", "99999999999999999999h", "1w", "1h "] {
            assert!(ttl(bad).is_err(), "{bad}");
        }
    }
}
