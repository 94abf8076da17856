//! The README's tour, run as it stands.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::binary;
use tokio::process::Command;

/// The ports that the shipped defaults name.
const PORTS: [u16; 5] = [8000, 8080, 9901, 7070, 7071];

/// The blocks of the README marked `sh tour`, in order.
fn tour(readme: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh tour" => inside = true,
            "```" => inside = false,
            command if inside => script.push_str(&format!("{command}\n")),
            _ => {}
        }
    }
    script
}

/// An origin on the port that the sample configuration forwards to.
fn origin_on(port: u16) -> Result<std::thread::JoinHandle<()>> {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                use std::io::{BufRead as _, BufReader, Write as _};
                let Ok(mut writer) = stream.try_clone() else { return };
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                for _ in lines.filter(String::is_empty) {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tour_succeeds() -> Result<()> {
    for port in PORTS {
        let free = std::net::TcpListener::bind(("127.0.0.1", port));
        assert!(free.is_ok(), "the tour needs port {port}, and something else listens there");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let script = tour(&std::fs::read_to_string(root.join("README.md"))?);
    assert!(script.lines().count() > 15, "the tour is gone from the README:\n{script}");
    let _origin = origin_on(8080)?;
    let dir = tempfile::tempdir()?;
    let bin = binary("lightsout");
    let path = format!("{}:{}", bin.parent().context("no folder")?.display(), std::env::var("PATH")?);
    let script = format!("set -euxo pipefail\ntrap 'kill $! ; wait $! || true' EXIT\n{script}");
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("POLICIES", root.join("policies"));
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output())
        .await
        .context("the tour did not end")??;
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    Ok(())
}
