//! A brain beside this proxy: `lightsout brain` as a supervised child on loopback.
//!
//! Its trouble is never the proxy's: a missing executable, a crash or a port taken is logged and tried
//! again with growing pauses, and traffic flows meanwhile. The child's standard input is a pipe that this
//! process holds open and never writes to: however this process ends, the pipe closes, and so does the child.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::id::ProxyId;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::durable;
use crate::service_manager;
use crate::settings::{Ai, AiMode};
use crate::token::{NoToken, Token};

/// The executable's name.
const EXECUTABLE: &str = "lightsout";
/// The ports that a brain listens on unless they are taken.
const USUAL_PORTS: [u16; 2] = [7070, 7071];
/// Between an end and the next start: from, to.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A child that lived so long has recovered: the pauses begin anew.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// From SIGTERM to SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A brain that is ready to be started.
#[derive(Debug, Clone)]
pub struct Beside {
    config: PathBuf,
    /// Its API.
    pub api: SocketAddr,
    /// Its telemetry listener, which this proxy dials.
    pub telemetry: SocketAddr,
    /// The file with the token that its telemetry listener wants.
    pub telemetry_token: PathBuf,
}

/// Why no brain can be started beside.
#[derive(Debug, thiserror::Error)]
pub enum CannotPrepare {
    /// No token.
    #[error(transparent)]
    Token(#[from] NoToken),
    /// No place for its configuration, or no port.
    #[error("the brain beside cannot be prepared in {path}: {why}")]
    Io {
        /// Where.
        path: String,
        /// What the system says.
        why: io::Error,
    },
}

/// What the brain must know of this proxy.
pub struct Neighbour<'a> {
    /// Its id.
    pub proxy: &'a ProxyId,
    /// The URL of its admin listener.
    pub admin_url: &'a str,
    /// The file with its admin token.
    pub admin_token: &'a Path,
}

/// Writes the brain's configuration, at the addresses of the one it comes after, or with the usual ports or
/// free ones, and the token it wants.
///
/// # Errors
/// [`CannotPrepare`]; nothing has been started.
pub fn prepare(
    ai: &Ai,
    neighbour: &Neighbour<'_>,
    after: Option<[SocketAddr; 2]>,
) -> Result<Beside, CannotPrepare> {
    let fail = |why| CannotPrepare::Io { path: ai.data_dir.display().to_string(), why };
    let data_dir = std::path::absolute(&ai.data_dir).map_err(fail)?;
    let telemetry_token = data_dir.join("telemetry.token");
    Token::load_or_make(&telemetry_token)?;
    let [api, telemetry] = after.map_or_else(addresses, Ok).map_err(fail)?;
    // What is no file is found by the child as it was by its parent: in the environment.
    let admin_token = match trust::secret::elsewhere(neighbour.admin_token) {
        Some(_) => neighbour.admin_token.to_owned(),
        None => std::path::absolute(neighbour.admin_token).map_err(fail)?,
    };
    let listener = |at: SocketAddr| json!({"bind_address": at.ip().to_string(), "port": at.port()});
    let mut telemetry_section = listener(telemetry);
    telemetry_section["token_path"] = json!(telemetry_token);
    let mut advisor = json!({"provider": "none"});
    if let Some(threshold) = ai.decision_threshold {
        advisor["decision_threshold"] = json!(threshold);
    }
    let content = json!({
        "api": listener(api),
        "telemetry": telemetry_section,
        "mode": match ai.mode {
            AiMode::Observe => "observe",
            AiMode::Advisory => "advisory",
            AiMode::Autonomous => "autonomous",
        },
        "data_dir": data_dir,
        "proxies": [{"id": neighbour.proxy, "admin": neighbour.admin_url, "token_path": admin_token}],
        "mesh_token_path": admin_token,
        "advisor": advisor,
    });
    // JSON is YAML, and quotes every path as it must be.
    let text = format!("# Written by sidecar-proxy at each start; changes are lost.\n{content:#}\n");
    let config = data_dir.join("brain.yaml");
    durable::write(&config, text.as_bytes()).map_err(fail)?;
    Ok(Beside { config, api, telemetry, telemetry_token })
}

/// An address for API and telemetry each: free a moment ago, which is all that can be known.
fn addresses() -> io::Result<[SocketAddr; 2]> {
    let take =
        |usual: u16| TcpListener::bind(("127.0.0.1", usual)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    let [api, telemetry] = USUAL_PORTS;
    // Both held until both are known, so that they differ.
    let (api, telemetry) = (take(api)?, take(telemetry)?);
    Ok([api.local_addr()?, telemetry.local_addr()?])
}

/// Keeps the child running until `stop`, then ends it.
pub async fn run(beside: Beside, stop: CancellationToken) {
    let mut pause = BACK_OFF.0;
    loop {
        let started = Instant::now();
        match start(&beside) {
            Ok(child) => {
                if watch(child, &stop).await {
                    return;
                }
            }
            Err(why) => tracing::warn!("no brain beside: {why}; the proxy serves without one"),
        }
        if started.elapsed() >= RECOVERED_AFTER {
            pause = BACK_OFF.0;
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(BACK_OFF.1),
            () = stop.cancelled() => return,
        }
    }
}

fn start(beside: &Beside) -> io::Result<Child> {
    let executable = executable()?;
    tracing::info!(api = %beside.api, telemetry = %beside.telemetry, "starting the brain beside: {}", executable.display());
    let mut command = Command::new(executable);
    service_manager::VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
    command
        .arg("brain")
        .arg("--config")
        .arg(&beside.config)
        .env(protocol::ENDS_WITH_STDIN, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// The executable beside this one, or on PATH.
fn executable() -> io::Result<PathBuf> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(EXECUTABLE));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(EXECUTABLE));
    let found = beside.into_iter().chain(on_path).find(|candidate| candidate.is_file());
    let missing = format!("the executable {EXECUTABLE} is neither beside sidecar-proxy nor on PATH");
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))
}

/// Follows the child to its end; true when that end was asked for.
async fn watch(mut child: Child, stop: &CancellationToken) -> bool {
    // Taken out of the child, because waiting for it would close the pipe, which tells it to end.
    let _held_open = child.stdin.take();
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::info!("brain: {line}");
            }
        });
    }
    tokio::select! {
        ended = child.wait() => {
            let how = ended.map_or_else(|why| why.to_string(), |status| status.to_string());
            tracing::warn!("the brain beside has ended ({how}); it is started again");
            false
        }
        () = stop.cancelled() => {
            end(child).await;
            true
        }
    }
}

async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
        && let Err(why) = kill(Pid::from_raw(pid), Signal::SIGTERM)
    {
        tracing::debug!("the brain beside could not be asked to end: {why}");
    }
    if timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!("the brain beside did not end in time and is killed");
        if let Err(why) = child.kill().await {
            tracing::warn!("the brain beside could not be killed: {why}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_brain_beside_gets_a_configuration_with_absolute_paths_and_free_ports() {
        let folder = tempfile::tempdir().unwrap();
        let ai = Ai {
            tls: None,
            proxy: ProxyId::new("p1").unwrap(),
            caller: "web".to_owned(),
            brain: None,
            token_path: None,
            admin_url: None,
            data_dir: folder.path().join("data"),
            mode: AiMode::Advisory,
            window: Duration::from_secs(1),
            decision_threshold: Some(0.8),
        };
        let neighbour = Neighbour {
            proxy: &ai.proxy,
            admin_url: "http://127.0.0.1:9",
            admin_token: Path::new("admin.token"),
        };
        let beside = prepare(&ai, &neighbour, None).unwrap();
        let text = std::fs::read_to_string(&beside.config).unwrap();
        let json: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        assert_eq!(json["mode"], "advisory");
        assert_eq!(json["advisor"]["decision_threshold"], 0.8);
        assert_eq!(json["telemetry"]["port"], beside.telemetry.port());
        assert!(json["mesh_token_path"].as_str().unwrap().starts_with('/'));
        assert!(beside.telemetry_token.is_file());
        assert_ne!(beside.api, beside.telemetry);
    }
}
