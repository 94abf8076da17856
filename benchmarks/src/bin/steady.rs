//! An open-loop HTTP/1.1 client: requests leave at times fixed in advance, and each latency counts from the time at
//! which its request was due, so that a slow answer cannot hide the wait of those behind it (coordinated omission).
//!
//!     steady ADDRESS PATH CONNECTIONS RATE SECONDS
//!
//! One thread a connection, due times spread evenly over all of them. Prints: requests, then the median, the 99th and
//! the 99.9th percentile in microseconds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Not counted: connections are being opened, caches are cold.
const WARM_UP: Duration = Duration::from_millis(500);

struct Plan {
    address: String,
    request: String,
    connections: u32,
    every: Duration,
    start: Instant,
    end: Instant,
}

fn main() -> Result<()> {
    let plan = plan()?;
    let took: Result<Vec<Vec<u64>>> = thread::scope(|scope| {
        let drive = |number| {
            let plan = &plan;
            scope.spawn(move || drive(plan, number))
        };
        let threads: Vec<_> = (0..plan.connections).map(drive).collect();
        let joined = threads.into_iter().map(|thread| thread.join().ok().context("a thread is lost")?);
        joined.collect()
    });
    let mut took = took?.concat();
    ensure!(!took.is_empty(), "no request was due after the first {WARM_UP:?}");
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize] as f64 / 1e3;
    println!("{} {:.2} {:.2} {:.2}", took.len(), at(0.5), at(0.99), at(0.999));
    Ok(())
}

fn plan() -> Result<Plan> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, connections, rate, seconds] = &args[..] else {
        bail!("usage: steady ADDRESS PATH CONNECTIONS RATE SECONDS");
    };
    let start = Instant::now() + Duration::from_millis(200);
    Ok(Plan {
        address: address.clone(),
        request: format!("GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: steady\r\nAccept: */*\r\n\r\n"),
        connections: connections.parse()?,
        every: Duration::from_secs_f64(1.0 / rate.parse::<f64>()?),
        start,
        end: start + WARM_UP + Duration::from_secs_f64(seconds.parse()?),
    })
}

/// One connection: nanoseconds from when each request was due to the end of its response.
fn drive(plan: &Plan, number: u32) -> Result<Vec<u64>> {
    // Sleeps end when they should, not up to 50 us later.
    nix::sys::prctl::set_timerslack(1)?;
    let mut stream = TcpStream::connect(&plan.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut took = Vec::new();
    let mut due = plan.start + plan.every * number;
    while due < plan.end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(plan.request.as_bytes())?;
        read_response(&mut stream)?;
        if due >= plan.start + WARM_UP {
            took.push(u64::try_from(due.elapsed().as_nanos())?);
        }
        due += plan.every * plan.connections;
    }
    Ok(took)
}

fn read_response(stream: &mut TcpStream) -> Result<()> {
    let (mut bytes, mut filled) = ([0; 8_192], 0);
    loop {
        let read = stream.read(&mut bytes[filled..])?;
        ensure!(read > 0, "a connection was closed");
        filled += read;
        let Some(head) = bytes[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        ensure!(text.starts_with("http/1.1 200"), "{text}");
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.context("a response without a length")?.parse()?;
        if filled >= head + 4 + length {
            return Ok(());
        }
    }
}
