//! What a series-window costs `lightsout replay`: a mesh of many small services, from a file, by the time that its
//! threads spent on a core. What else the machine does in the meantime is not counted.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{Cell, Window};

use crate::measure::Row;
use crate::mesh::window;

/// Proxies, services each tells of, endpoints of a service, seconds.
const PROXIES: u64 = 10;
const SERVICES: u64 = 20;
const ENDPOINTS: u64 = 10;
const SECONDS: u64 = 100;

/// What was measured.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Series-windows in the recording.
    series: u64,
    /// CPU time of each, reading the recording included, µs.
    all_us: f64,
    /// Of it, reading and checking the line, µs.
    reading_us: f64,
}

/// The rows of the report.
///
/// # Errors
/// As [`measure`].
pub fn rows(lightsout: &Path) -> Result<Vec<Row>> {
    let cost = measure(lightsout)?;
    let row = |what: &str, target, reached, met| Row {
        what: what.to_owned(),
        target,
        reached,
        met,
        floor: String::new(),
        runs: format!("{} series-windows", cost.series),
    };
    let (rate, update_us) = (1e6 / cost.all_us, cost.all_us - cost.reading_us);
    let all = format!("{rate:.0} ({:.1} µs each)", cost.all_us);
    let update = format!("{update_us:.1} µs");
    let cpu = "cost: series-windows a second of CPU, reading the recording included";
    Ok(vec![
        row(cpu, ">= 100,000", all, rate >= 100_000.0),
        row(
            "cost: of it, all but reading and checking the line",
            "<= 5 µs a series update",
            update,
            update_us <= 5.0,
        ),
    ])
}

/// Replays the recording, and reads it once more by itself.
///
/// # Errors
/// The recording cannot be written, or the brain fails.
fn measure(lightsout: &Path) -> Result<Cost> {
    let file = std::env::temp_dir().join(format!("lightsout-speed-{}.jsonl", std::process::id()));
    write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let before = cpu_s(UsageWho::RUSAGE_CHILDREN)?;
    let done = Command::new(lightsout)
        .args(["replay", "--format", "json"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let all_s = cpu_s(UsageWho::RUSAGE_CHILDREN)? - before;
    let reading_s = read(&file);
    std::fs::remove_file(&file)?;
    ensure!(done?.success(), "the replay failed");
    let series = PROXIES * SERVICES * ENDPOINTS * SECONDS;
    let each = |seconds: f64| seconds * 1e6 / series as f64;
    Ok(Cost { series, all_us: each(all_s), reading_us: each(reading_s?) })
}

/// CPU time of reading and checking alone, seconds.
fn read(file: &Path) -> Result<f64> {
    let before = cpu_s(UsageWho::RUSAGE_SELF)?;
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let window: Window = serde_json::from_str(&line?)?;
        window.check()?;
    }
    Ok(cpu_s(UsageWho::RUSAGE_SELF)? - before)
}

fn cpu_s(who: UsageWho) -> Result<f64> {
    let usage = getrusage(who)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn write(file: &Path) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for second in 0..SECONDS {
        for proxy in 0..PROXIES {
            let cells = (0..SERVICES * ENDPOINTS).map(|n| cell(proxy, n, second)).collect();
            let window = Window { cells, ..window(format!("p{proxy}"), second + 1, second) };
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
