//! What systemd is told and gives, with its own sockets in the test's hands.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::{Load, Origin, Running, binary, proxy_config};
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

/// The manager's end of NOTIFY_SOCKET.
struct Manager(UnixDatagram);

impl Manager {
    fn new(dir: &Path) -> Result<Self> {
        Ok(Self(UnixDatagram::bind(dir.join("notify"))?))
    }

    /// The next message that holds `what`; those before it are passed over.
    async fn told(&self, what: &str) -> Result<String> {
        let next = async {
            loop {
                let mut bytes = [0; 1_024];
                let n = self.0.recv(&mut bytes).await?;
                let message = String::from_utf8_lossy(&bytes[..n]).into_owned();
                if message.contains(what) {
                    return Ok(message);
                }
            }
        };
        timeout(Duration::from_secs(10), next).await.with_context(|| format!("{what} never came"))?
    }
}

fn managed(dir: &Path) -> Command {
    let mut command = Command::new(binary("sidecar-proxy"));
    command.args(["start", "--config", "proxy.yaml"]).stdin(Stdio::null());
    command.env("NOTIFY_SOCKET", dir.join("notify"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_is_told_of_readiness_life_reloads_and_the_end() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    std::fs::write(dir.path().join("proxy.yaml"), proxy_config(dir.path(), &origins, "")?)?;
    let manager = Manager::new(dir.path())?;
    let mut command = managed(dir.path());
    command.env("WATCHDOG_USEC", "200000");
    let mut proxy = Running::start_by("sidecar-proxy", command, dir.path()).await?;
    let ready = manager.told("READY=1").await?;
    ensure!(ready.contains(&format!("MAINPID={}", proxy.pid())), "{ready}");
    for _ in 0..3 {
        manager.told("WATCHDOG=1").await?;
    }
    proxy.signal(Signal::SIGHUP)?;
    ensure!(manager.told("RELOADING=1").await?.contains("MONOTONIC_USEC="));
    manager.told("READY=1").await?;
    std::fs::write(dir.path().join("proxy.yaml"), "nothing: good\n")?;
    proxy.signal(Signal::SIGHUP)?;
    manager.told("refused").await?;
    proxy.signal(Signal::SIGTERM)?;
    manager.told("STOPPING=1").await?;
    assert_eq!(proxy.ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_not_called_alive() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    std::fs::write(dir.path().join("proxy.yaml"), proxy_config(dir.path(), &origins, "")?)?;
    let manager = Manager::new(dir.path())?;
    let mut command = managed(dir.path());
    command.env("WATCHDOG_USEC", "200000");
    let proxy = Running::start_by("sidecar-proxy", command, dir.path()).await?;
    manager.told("WATCHDOG=1").await?;
    proxy.signal(Signal::SIGSTOP)?;
    while timeout(Duration::from_millis(500), manager.told("WATCHDOG=1")).await.is_ok() {}
    proxy.signal(Signal::SIGCONT)?;
    manager.told("WATCHDOG=1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_the_manager_opened_are_served_and_outlive_a_restart() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    std::fs::write(dir.path().join("proxy.yaml"), proxy_config(dir.path(), &origins, "")?)?;
    let (main, admin) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let url = format!("http://{}", main.local_addr()?);
    // A shell puts them where sd_listen_fds(3) has them, and names the process that they are for.
    let numbers = [&main, &admin].map(|socket| {
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        socket.as_raw_fd()
    });
    let script = format!(
        "exec 3<&{} 4<&{}; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web.socket:admin; exec \"$@\"",
        numbers[0], numbers[1]
    );
    let start = async || -> Result<Running> {
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash"]).arg(binary("sidecar-proxy")).stdin(Stdio::null());
        command.args(["start", "--config", "proxy.yaml"]);
        Running::start_by("sidecar-proxy", command, dir.path()).await
    };
    let mut first = start().await?;
    assert_eq!(first.address("main"), main.local_addr()?.to_string());
    assert_eq!(first.address("admin"), admin.local_addr()?.to_string());
    assert_eq!(reqwest::get(&url).await?.status(), 200);
    first.signal(Signal::SIGTERM)?;
    assert_eq!(first.ended().await?.code(), Some(0));
    // Nobody accepts now, and nobody is refused: it waits for the next process.
    let waiting = tokio::spawn(reqwest::get(url.clone()));
    let _second = start().await?;
    assert_eq!(waiting.await??.status(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigusr2_it_starts_its_own_successor_which_the_manager_follows() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    std::fs::write(dir.path().join("proxy.yaml"), proxy_config(dir.path(), &origins, "")?)?;
    let manager = Manager::new(dir.path())?;
    let process = Running::start_by("sidecar-proxy", managed(dir.path()), dir.path()).await?;
    manager.told("READY=1").await?;
    let old = process.pid();
    let (url, admin) = (format!("http://{}", process.address("main")), process.address("admin").to_owned());
    let load = Load::start(&url, 200)?;
    load.next(50).await;
    let mut process = process;
    process.signal(Signal::SIGUSR2)?;
    let told = manager.told("MAINPID=").await?;
    let pid = told.lines().find_map(|line| line.strip_prefix("MAINPID=")?.parse().ok()).context("no pid")?;
    let successor = Successor(Pid::from_raw(pid));
    assert_ne!(successor.0, old);
    assert_eq!(process.ended().await?.code(), Some(0));
    load.next(100).await;
    assert_eq!(load.tally().failed, 0);
    let status: Value = reqwest::get(format!("http://{admin}/status")).await?.json().await?;
    assert_eq!(status["build"]["pid"], pid);
    Ok(())
}

/// Nobody's child any more: ended by the test.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ended_already = kill(self.0, Signal::SIGKILL);
    }
}
