//! SIGUSR2: this process starts its own successor, as nginx does, so that it lives in the same control
//! group, with the same command line and surroundings, and a service manager can follow it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use tokio::process::Command;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

const TAKE_OVER: &str = "--take-over";

/// How this process was started. Its executable's name is kept from the beginning: once another binary has
/// taken the name, this process could not tell it any more.
pub(super) struct Origin {
    executable: PathBuf,
    arguments: Vec<OsString>,
}

impl Origin {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if !arguments.iter().any(|argument| argument == TAKE_OVER) {
            arguments.push(TAKE_OVER.into());
        }
        Ok(Self { executable: std::env::current_exe()?, arguments })
    }

    /// One successor a signal, one at a time. What becomes of it shows when it takes over, or does not.
    pub(super) async fn start_successors(self, mut upgrade: Signal, drain: CancellationToken) {
        loop {
            let told = tokio::select! {
                told = upgrade.recv() => told,
                () = drain.cancelled() => None,
            };
            if told.is_none() {
                return;
            }
            tracing::info!("starting a successor: {}", self.executable.display());
            let successor = Command::new(&self.executable).args(&self.arguments).spawn();
            match successor {
                Err(why) => tracing::error!("no successor can be started: {why}"),
                Ok(mut successor) => tokio::select! {
                    ended = successor.wait() => tracing::error!("the successor has ended: {ended:?}"),
                    () = drain.cancelled() => return,
                },
            }
        }
    }
}
