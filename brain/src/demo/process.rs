//! A child process of the demo: started, waited for until it says it is ready, ended by its own pid.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a part may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a part may take to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(8);

/// A running part of the mesh.
pub struct Process {
    name: String,
    child: Child,
    /// What its ready line said: `main=127.0.0.1:4000` becomes `main → 127.0.0.1:4000`.
    pub addresses: BTreeMap<String, String>,
}

impl Process {
    /// Starts `program` with `arguments`, its log going to `DIR/NAME.log`, and waits for its line
    /// `NAME ready: key=value …` on standard output.
    ///
    /// # Errors
    /// When it cannot be started, ends, or says nothing in time; the end of its log is quoted.
    pub async fn start(name: &str, program: &Path, arguments: &[String], dir: &Path) -> Result<Self> {
        let log_path = dir.join(format!("{name}.log"));
        let log = std::fs::File::create(&log_path)
            .with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            // It ends with the demo, however that ends; Ctrl-C is for the demo alone, which stops the parts in order.
            .env(protocol::ENDS_WITH_STDIN, "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", name, program.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(READY_WITHIN, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, addresses)) = line.split_once(" ready: ") {
                    return Ok::<_, std::io::Error>(Some(parse_addresses(addresses)));
                }
            }
            Ok(None)
        });
        let Ok(Ok(Some(addresses))) = ready.await else {
            bail!("{name} did not come up; its log ends with:\n{}", tail(&log_path));
        };
        // Nobody reads further lines; draining keeps the child from blocking on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { name: name.to_owned(), child, addresses })
    }

    /// One address of the ready line.
    ///
    /// # Errors
    /// When the ready line did not name it.
    pub fn address(&self, key: &str) -> Result<&str> {
        let address = self.addresses.get(key).map(String::as_str);
        address.with_context(|| format!("{} did not say its {key} address", self.name))
    }

    /// Fails when the process has ended by itself.
    ///
    /// # Errors
    /// Names the part and its exit status.
    pub fn still_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} stopped by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// SIGTERM, and SIGKILL when that is not enough.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if timeout(END_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

fn parse_addresses(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
