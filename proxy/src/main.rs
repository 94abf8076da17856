//! `sidecar-proxy`: arguments, configuration, serve until told to stop.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use proxy::app::{App, Ending, Inherited};
use proxy::cli::{Cli, Format, GenerateConfig, Keygen, KeygenFetch, Start, ValidateConfig, Verb};
use proxy::hand_over;
use proxy::identity::issue::{self, CannotIssue, Made, Wanted};
use proxy::identity::workload_api::{self, WorkloadApi};
use proxy::overload;
use proxy::service_manager;
use proxy::settings::{Given, SAMPLE, Settings, schema};
use proxy::source::{NoSettings, Source};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// What is logged unless RUST_LOG says otherwise; the HTTP library would log what any client may do to it.
const DEFAULT_LOG: &str = "info,h2=error";

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Start(start) => serve(start),
        Verb::GenerateConfig(generate) => generate_config(&generate),
        Verb::ValidateConfig(validate) => validate_config(&validate),
        Verb::Keygen(wanted) => keygen(&wanted),
    };
    match done {
        Ok(code) => code,
        Err(why) if why.is::<CannotIssue>() => failed(&why, 2),
        Err(why) if why.is::<NoSettings>() => failed(&why, 2),
        Err(why) => failed(&why, 1),
    }
}

fn failed(why: &anyhow::Error, code: u8) -> ExitCode {
    // Nothing is left to tell it to when standard error is closed.
    let _ = writeln!(io::stderr(), "{why:#}");
    ExitCode::from(code)
}

fn serve(start: Start) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    if let Err(why) = trust::secret::stay_out_of_core_dumps() {
        tracing::warn!("a core dump of this process may hold its keys: {why}");
    }
    let given = Given { ai_enabled: start.ai_enabled, ai_mode: start.ai_mode, ..machine() };
    let source = Source { path: start.config, given };
    let settings = source.settings()?;
    // Before anything is opened; what cannot be raised is a smaller bound, not a failure.
    match overload::raise_descriptors() {
        Ok(most) => tracing::debug!(most, "file descriptors that may be open"),
        Err(why) => tracing::warn!("the bound of file descriptors cannot be raised: {why}"),
    }
    let inherited = inherited(start.take_over, &settings)?;
    let ending = App::build(settings, source, inherited)?.run()?;
    Ok(match ending {
        Ending::Drained => ExitCode::SUCCESS,
        Ending::Hurried | Ending::WorkerLost | Ending::NotRelieved => ExitCode::FAILURE,
    })
}

/// What the process that runs by the same file hands over, or else what a service manager gives.
fn inherited(take_over: bool, settings: &Settings) -> anyhow::Result<Inherited> {
    let given = service_manager::listeners().context("a socket of the service manager")?;
    if !take_over {
        return Ok(given);
    }
    let path = &settings.admin.hand_over_path;
    let taken = hand_over::take(path, [settings.server.bind, settings.admin.bind])?;
    match &taken {
        Some(taken) => tracing::info!(pid = taken.predecessor.pid, "taking over from a running process"),
        None => tracing::warn!("no process hands over at {}: a start like any other", path.display()),
    }
    Ok(taken.map_or(given, Inherited::from))
}

fn generate_config(generate: &GenerateConfig) -> anyhow::Result<ExitCode> {
    let text = if generate.schema { schema() } else { SAMPLE.to_owned() };
    match &generate.output {
        Some(path) => write_new(path, &text).with_context(|| format!("{} cannot be made", path.display()))?,
        None => io::stdout().write_all(text.as_bytes()).context("standard output")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Never over a file that is there: it may be the one that someone runs by.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn validate_config(validate: &ValidateConfig) -> anyhow::Result<ExitCode> {
    let file = validate.config.display().to_string();
    let source = Source { path: Some(validate.config.clone()), given: machine() };
    let judged = source.settings();
    if validate.format == Format::Text {
        judged?;
        writeln!(io::stdout(), "{file} is valid").context("standard output")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (code, answer) = match judged {
        Ok(settings) => {
            (0, json!({"valid": true, "file": file, "problems": [], "config_hash": settings.hash}))
        }
        Err(NoSettings::Wrong(report)) => {
            (2, json!({"valid": false, "file": report.file, "problems": report.problems}))
        }
        Err(unreadable) => {
            (2, json!({"valid": false, "file": file, "problems": [], "error": unreadable.to_string()}))
        }
    };
    writeln!(io::stdout(), "{answer:#}").context("standard output")?;
    Ok(ExitCode::from(code))
}

/// Says what was made and until when it holds, never what is in it.
fn keygen(wanted: &Keygen) -> anyhow::Result<ExitCode> {
    let made = match wanted {
        Keygen::Fetch(fetch) => return fetched(fetch),
        Keygen::Ca(ca) => issue::authority(&ca.trust_domain, &ca.out, ca.ttl)?,
        Keygen::Svid(svid) => {
            let (id, hosts) = (&svid.spiffe_id, svid.hosts.as_slice());
            let wanted = Wanted { id, hosts, ttl: svid.ttl, renew: svid.renew };
            issue::workload(&wanted, &svid.ca, &svid.out)?
        }
    };
    tell(&made)
}

fn tell(made: &Made) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    for file in &made.files {
        writeln!(out, "made {}", file.display()).context("standard output")?;
    }
    let until = jiff::Timestamp::from_second(made.until).unwrap_or(jiff::Timestamp::MAX);
    writeln!(out, "valid until {until}").context("standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn fetched(fetch: &KeygenFetch) -> anyhow::Result<ExitCode> {
    if fetch.watch {
        log_to_stderr();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source =
        WorkloadApi { socket: fetch.socket.clone(), id: fetch.spiffe_id.clone(), folder: fetch.out.clone() };
    runtime.block_on(async {
        if fetch.watch {
            match workload_api::follow(&source).await {}
        }
        let made = workload_api::fetch(&source).await?;
        tell(&made)
    })
}

/// What the file does not say and the command line neither.
fn machine() -> Given {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Given { ai_enabled: false, ai_mode: None, host_name: host_name.trim().to_owned(), cores }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
