//! What one telemetry record costs: a request noted from its beginning to its end, with its client, in nanoseconds.
//!
//!     cargo run --release -p benchmarks --bin telemetry_record
//!
//! Several mixes of clients and paths, among them one hundred thousand distinct ones that never repeat in a window: the
//! worst case for whatever keeps the busiest. A window is taken every 65,536 records, as a busy worker's would be, and
//! its cost counts. The least of several runs is shown beside the median: a machine's other work only ever adds.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy::telemetry::Outcome;
use proxy::telemetry::callers::CallerId;
use proxy::telemetry::cells::{Ended, EndpointLabel};
use proxy::telemetry::clients::ClientOutcome;
use proxy::telemetry::distinct::hash_of;
use proxy::telemetry::recorder::Recorder;

const RECORDS: usize = 1 << 20;
const WINDOW: usize = 1 << 16;
const RUNS: usize = 9;

/// Which of `DISTINCT` things the n-th request is about.
type Mix = fn(usize) -> usize;
const DISTINCT: usize = 100_000;

fn main() {
    let mixes: [(&str, Mix); 4] = [
        ("one client, one path", |_| 0),
        ("512 clients in turn", |n| n % 512),
        ("100,000 clients and paths in turn", |n| n % DISTINCT),
        ("100,000 clients and paths, skewed", skewed),
    ];
    for (name, mix) in mixes {
        let mut runs: Vec<f64> = (0..RUNS).map(|_| nanoseconds_a_record(mix)).collect();
        runs.sort_by(f64::total_cmp);
        println!("record: {name}: least {:.1} ns, median {:.1} ns", runs[0], runs[RUNS / 2]);
    }
}

/// Half of the requests from a few, the rest from everywhere.
fn skewed(n: usize) -> usize {
    let scrambled = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    if n.is_multiple_of(2) { scrambled % 64 } else { scrambled % DISTINCT }
}

fn nanoseconds_a_record(mix: Mix) -> f64 {
    let label = |n: usize| EndpointLabel {
        service: "cart".into(),
        version: String::new(),
        endpoint: format!("10.0.0.{n}:80"),
    };
    let endpoints: Vec<_> = (0..4).map(|n| Arc::new(label(n))).collect();
    let route: Arc<str> = Arc::from("all");
    let paths: Vec<String> = (0..DISTINCT).map(|n| format!("/catalogue/items/{n}/details")).collect();
    let requests: Vec<(IpAddr, &str)> =
        (0..RECORDS).map(mix).map(|n| (address(n), paths[n].as_str())).collect();
    let recorder = Recorder::new(true);
    let began = Instant::now();
    for (n, (ip, path)) in requests.iter().enumerate() {
        let took = Duration::from_micros(200 + (n as u64 & 1_023));
        let ended = Ended { outcome: Outcome::Status(200), took, bytes_in: 0, bytes_out: 1_000 };
        let cell = recorder.begin(&endpoints[n & 3], &route, CallerId::default());
        recorder.client(*ip, hash_of(*path), ClientOutcome::Fine);
        recorder.end(cell, Some(&ended));
        if n % WINDOW == WINDOW - 1 {
            black_box(recorder.take());
        }
    }
    began.elapsed().as_nanos() as f64 / RECORDS as f64
}

fn address(n: usize) -> IpAddr {
    IpAddr::from([10, (n >> 16) as u8, (n >> 8) as u8, n as u8])
}
