//! What is still done well when far more is asked than can be done: goodput at 1, 2 and 10 times what the service
//! bears, with the adaptive limit and without.
//!
//!     goodput PROXY-BINARY [SECONDS]
//!
//! The service does eight requests at once in 8 ms each, the rest waits inside it, and it finishes what its clients
//! have given up, as servers do. Load is open-loop: a request counts as good that is answered 200 within 250 ms of
//! when it was due. Prints a table in Markdown.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use benchmarks::open_loop::{Offered, Seen, offer};
use benchmarks::slow_service;

/// What the service does at once, and for how long each.
const PLACES: usize = 8;
const WORK: Duration = Duration::from_millis(8);
/// A later answer is of no use.
const IN_TIME: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let binary = args.next().context("usage: goodput PROXY-BINARY [SECONDS]")?;
    let seconds = Duration::from_secs(args.next().map_or(Ok(8), |text| text.parse())?);
    println!("# Goodput under overload\n");
    println!(
        "A service that does eight requests at once in 8 ms each (and finishes what was given up), offered a multiple of what it bears,"
    );
    println!(
        "open-loop; an answer counts that is a 200 within 250 ms of when its request was due. Client, service and proxy share"
    );
    println!(
        "the machine's cores, {} s a cell after 3 s of warm-up. Made by `make bench-goodput`.\n",
        seconds.as_secs()
    );
    println!("| offered | goodput, adaptive limit | p99 of the good | goodput, no limit | p99 of the good |");
    println!("|---|---|---|---|---|");
    let dir = std::env::temp_dir().join(format!("goodput-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let limits = ["{ adaptive: { min: 4, max: 1000 } }", "{ max_requests: 1000000 }"];
    let mut peaks = [0.0_f64; 2];
    let capacity = PLACES as f64 / WORK.as_secs_f64();
    for times in [0.6, 0.8, 0.9, 1.0, 2.0, 10.0] {
        let mut row = format!("| {times} x |");
        for (peak, limits) in peaks.iter_mut().zip(limits) {
            let seen = run(&binary, &dir, limits, capacity * times, seconds).await?;
            *peak = if times <= 1.0 { peak.max(seen.good_rate) } else { *peak };
            let (share, p99) = (seen.good_rate / *peak * 100.0, seen.p99.as_secs_f64() * 1e3);
            row += &format!(" {:.0}/s, {share:.0} % of the peak | {p99:.0} ms |", seen.good_rate);
        }
        println!("{row}");
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

async fn run(binary: &str, dir: &Path, limits: &str, rate: f64, time: Duration) -> Result<Seen> {
    let service = slow_service::start(PLACES, WORK).await?;
    let config = dir.join("proxy.yaml");
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let text = format!(
        "server: {{ bind_address: 127.0.0.1, port: {port}, workers: 1, max_connections: 100000 }}\n\
         admin: {{ bind_address: 127.0.0.1, port: 0, token_path: {0}/token, state_path: {0}/state }}\n\
         circuit_breaker: {{ enabled: false }}\nlimits: {limits}\n\
         upstream: {{ services: {{ slow: {{ endpoints: [{{ address: 127.0.0.1, port: {1} }}] }} }} }}\n",
        dir.display(),
        service.address.port(),
    );
    std::fs::write(&config, text)?;
    let mut proxy =
        Proxy(Command::new(binary).args(["start", "--config"]).arg(&config).stdout(Stdio::null()).spawn()?);
    proxy.ready(port).await?;
    let target = (std::net::Ipv4Addr::LOCALHOST, port).into();
    Ok(offer(Offered { target, rate, time, in_time: IN_TIME }).await)
}

/// Ended with the run.
struct Proxy(Child);

impl Proxy {
    async fn ready(&mut self, port: u16) -> Result<()> {
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("the proxy does not come up");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
