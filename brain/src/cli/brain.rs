//! `lightsout brain`: the daemon, from configuration to signal.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::client::Failure;
use super::output::print;
use crate::app::{App, AppError};
use crate::recording::RecordingPlan;
use crate::settings::Settings;

/// `lightsout brain`.
#[derive(Debug, Args)]
pub struct BrainArgs {
    /// The configuration; the defaults where absent
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write every window that is judged here, one a line, for `lightsout replay`; compressed if it ends in .zst
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Megabytes of a recording, before compression, until the next file is begun
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub record_max_mb: u64,
    /// Older files of a recording that are kept: FILE.1, FILE.2, ...
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub record_keep: u32,
}

impl BrainArgs {
    fn recording(&self) -> Option<RecordingPlan> {
        let path = self.record.clone()?;
        Some(RecordingPlan { path, max_bytes: self.record_max_mb << 20, keep: self.record_keep })
    }
}

pub(super) async fn run(args: BrainArgs) -> Result<ExitCode, Failure> {
    log_to_stderr();
    if let Err(why) = trust::secret::stay_out_of_core_dumps() {
        tracing::warn!("a core dump of this process may hold its tokens: {why}");
    }
    let settings = Settings::load(args.config.as_deref()).map_err(|why| Failure::Invalid(why.to_string()))?;
    // Listened for before anything is started: no moment in which a signal does harm.
    let mut term = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut app = App::build(settings).await.map_err(failure)?;
    if let Some(plan) = args.recording() {
        app.record(plan).map_err(failure)?;
    }
    let (api, telemetry) = app.addresses().map_err(Failure::failed)?;
    print(&format!("lightsout ready: api={api} telemetry={telemetry}\n"))?;
    let stop = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
            () = left_alone() => tracing::warn!("the proxy that started this brain is gone: ending"),
        }
    };
    app.run(stop).await.map_err(failure)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for standard input to end, where whoever started this brain has said that it ends with it.
async fn left_alone() {
    if std::env::var_os(protocol::ENDS_WITH_STDIN).is_none() {
        return std::future::pending().await;
    }
    let (gone, told) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait, at its end, for a read that may never return.
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = told.await;
}

fn failure(why: AppError) -> Failure {
    match why {
        AppError::Policies(why) => Failure::Invalid(why.to_string()),
        other => Failure::Failed(other.to_string()),
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second subscriber, in a test, is no reason not to start.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}
