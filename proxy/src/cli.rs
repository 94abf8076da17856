//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::AiMode;

mod keygen;

pub use keygen::{Keygen, KeygenCa, KeygenFetch, KeygenSvid};

/// A lean forwarding proxy that takes leased actions and reports what it sees.
#[derive(Debug, Parser)]
#[command(name = "sidecar-proxy", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve until SIGTERM.
    Start(Start),
    /// Write a commented sample that starts as it is.
    GenerateConfig(GenerateConfig),
    /// Say everything that is wrong with a configuration file.
    ValidateConfig(ValidateConfig),
    /// Make an authority, or an identity of a workload.
    #[command(subcommand)]
    Keygen(Keygen),
}

/// `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// The configuration file; without one, what generate-config writes holds.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Have a brain: the one at ai.brain, or one started beside this proxy.
    #[arg(long)]
    pub ai_enabled: bool,
    /// Take the listening sockets, and the leases, from the process that runs by the same file, which then
    /// drains: no connection is refused. Where none runs, this is a start like any other.
    #[arg(long)]
    pub take_over: bool,
    /// How far a brain started beside may go; wins over the file.
    #[arg(long, value_name = "MODE")]
    pub ai_mode: Option<AiMode>,
}

/// `generate-config`.
#[derive(Debug, Args)]
pub struct GenerateConfig {
    /// The file to make; standard output without one. A file that is there is never overwritten.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The file's JSON Schema instead of a sample, for editors to check and complete by.
    #[arg(long)]
    pub schema: bool,
}

/// `validate-config`.
#[derive(Debug, Args)]
pub struct ValidateConfig {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// For people or for programs.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_promised_command_lines_are_understood() {
        Cli::command().debug_assert();
        for line in [
            "sidecar-proxy start",
            "sidecar-proxy start --config proxy.yaml --take-over",
            "sidecar-proxy start --config proxy.yaml --ai-enabled --ai-mode autonomous",
            "sidecar-proxy generate-config --output proxy.yaml",
            "sidecar-proxy validate-config --config proxy.yaml --format json",
            "sidecar-proxy keygen ca --trust-domain mesh.local --out ca",
            "sidecar-proxy keygen svid --spiffe-id spiffe://mesh.local/payments --ca ca --out svid --ttl 1h",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }

    #[test]
    fn a_wrong_command_line_ends_with_2() {
        for line in [
            "sidecar-proxy start --ai-mode bold",
            "sidecar-proxy validate-config",
            "sidecar-proxy stop",
            "sidecar-proxy keygen svid --spiffe-id https://mesh.local/payments --ca ca --out svid",
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2);
        }
    }
}
