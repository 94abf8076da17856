//! How many series-windows a second `lightsout replay` takes on one core: a mesh of many small services, from a
//! file, by the clock of this machine. Reading and understanding the recording is part of it.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{Cell, Window};

use crate::mesh::BEGIN_MS;

/// Proxies, services each tells of, endpoints of a service, seconds.
const PROXIES: u64 = 10;
const SERVICES: u64 = 20;
const ENDPOINTS: u64 = 10;
const SECONDS: u64 = 100;

/// Series-windows, and how many of them a second.
///
/// # Errors
/// The recording cannot be written, or the brain fails.
pub fn measure(lightsout: &Path) -> Result<(u64, f64)> {
    let file = std::env::temp_dir().join(format!("lightsout-speed-{}.jsonl", std::process::id()));
    write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let began = Instant::now();
    let done = Command::new(lightsout)
        .args(["replay", "--format", "json"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(&file)?;
    ensure!(done?.success(), "the replay failed");
    let series = PROXIES * SERVICES * ENDPOINTS * SECONDS;
    Ok((series, series as f64 / seconds))
}

fn write(file: &Path) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for second in 0..SECONDS {
        for proxy in 0..PROXIES {
            let cells = (0..SERVICES * ENDPOINTS).map(|n| cell(proxy, n, second)).collect();
            let window = Window {
                proxy: format!("p{proxy}"),
                boot: "b".to_owned(),
                seq: second + 1,
                start_ms: BEGIN_MS + second as i64 * 1_000,
                duration_ms: 1_000,
                config_hash: "c".to_owned(),
                cells,
                clients: Vec::new(),
                clients_other: None,
            };
            serde_json::to_writer(&mut out, &window)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

fn cell(proxy: u64, n: u64, second: u64) -> Cell {
    let (service, endpoint) = (proxy * SERVICES + n / ENDPOINTS, n % ENDPOINTS);
    let buckets = (0..10).map(|b| (index_of(2_000 + 700 * b + 13 * ((second + n) % 7)), 2));
    Cell {
        service: format!("s{service}"),
        version: "v1".to_owned(),
        endpoint: format!("10.2.{service}.{}:80", endpoint + 1),
        route: "default".to_owned(),
        caller: "web".to_owned(),
        requests: 20,
        status: [("2xx".to_owned(), 20)].into(),
        latency: Latency { buckets: buckets.collect(), ..Latency::default() },
        in_flight_max: 2,
        ..Cell::default()
    }
}
