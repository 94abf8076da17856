//! The binaries under test, started as an operator would start them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(40);

/// The path of a binary of this workspace, built beside the test.
///
/// # Panics
/// When it has not been built: `cargo build --workspace` goes first, as `make test` does.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let profile = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let path = profile.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// Runs a binary to its end.
///
/// # Errors
/// When it cannot be started or does not end within 40 seconds.
pub async fn run(name: &str, arguments: &[&str], dir: &Path) -> Result<Output> {
    let mut command = Command::new(binary(name));
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    timeout(END_WITHIN, command.output())
        .await
        .with_context(|| format!("{name} {arguments:?} did not end"))?
        .with_context(|| format!("{name} cannot be started"))
}

/// A process that serves until it is stopped; killed when dropped.
pub struct Running {
    name: String,
    child: Child,
    ready: BTreeMap<String, String>,
    log: PathBuf,
}

impl Running {
    /// Starts a binary and waits for its line `NAME ready: key=value …`.
    ///
    /// # Errors
    /// With its log, when it does not come up.
    pub async fn start(name: &str, arguments: &[&str], dir: &Path) -> Result<Self> {
        let mut command = Command::new(binary(name));
        command.args(arguments).stdin(Stdio::null());
        Self::start_by(name, command, dir).await
    }

    /// The same, by a command that is more than the binary and its arguments.
    ///
    /// # Errors
    /// With its log, when it does not come up.
    pub async fn start_by(name: &str, mut command: Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}-{}.log", fresh_number()));
        let mut child = command
            .current_dir(dir)
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let ready = timeout(READY_WITHIN, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once(" ready: ") {
                    let pairs = rest.split_whitespace().filter_map(|pair| pair.split_once('='));
                    return Ok(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
                }
            }
            bail!("ended without being ready")
        });
        let ready = match ready.await {
            Ok(Ok(ready)) => ready,
            other => bail!("{command:?}: {other:?}; log:\n{}", std::fs::read_to_string(&log)?),
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { name: name.to_owned(), child, ready, log })
    }

    /// An address of its ready line.
    ///
    /// # Panics
    /// When the line did not name it.
    #[must_use]
    pub fn address(&self, key: &str) -> &str {
        self.ready
            .get(key)
            .unwrap_or_else(|| panic!("{} named no {key} address: {:?}", self.name, self.ready))
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within 40 seconds.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(timeout(END_WITHIN, self.child.wait())
            .await
            .with_context(|| format!("{} did not end", self.name))??)
    }
}

fn fresh_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
