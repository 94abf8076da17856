//! What one telemetry record costs: a request noted from its beginning to its end, with its client, in nanoseconds.
//!
//!     cargo run --release -p benchmarks --bin telemetry_record
//!
//! Several mixes of clients and paths, among them one hundred thousand distinct ones that never repeat in a window: the
//! worst case for whatever keeps the busiest. A window is taken every 65,536 records, as a busy worker's would be, and
//! its cost counts. A worker notes a request whose head it has just read, so [`BATCH`] paths at a time are laid where it
//! would have them, which is not timed: what is timed is the record, not how far away its path was. The least of several
//! runs is shown beside the median: a machine's other work only ever adds.

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
const BATCH: usize = 64;

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
    let mesh = Mesh::new();
    let paths: Vec<String> = (0..DISTINCT).map(|n| format!("/catalogue/items/{n}/details")).collect();
    let recorder = Recorder::new(true);
    let (mut hot, mut spent) = (Vec::with_capacity(BATCH), Duration::ZERO);
    for first in (0..RECORDS).step_by(BATCH) {
        hot.clear();
        hot.extend((first..first + BATCH).map(mix).map(|n| (address(n), paths[n].clone())));
        let began = Instant::now();
        mesh.note(&recorder, first, &hot);
        if (first + BATCH).is_multiple_of(WINDOW) {
            black_box(recorder.take());
        }
        spent += began.elapsed();
    }
    spent.as_nanos() as f64 / RECORDS as f64
}

/// What the requests go to.
struct Mesh {
    endpoints: Vec<Arc<EndpointLabel>>,
    route: Arc<str>,
}

impl Mesh {
    fn new() -> Self {
        let label = |n: usize| EndpointLabel {
            service: "cart".into(),
            version: String::new(),
            endpoint: format!("10.0.0.{n}:80"),
        };
        Self { endpoints: (0..4).map(|n| Arc::new(label(n))).collect(), route: Arc::from("all") }
    }

    fn note(&self, recorder: &Recorder, first: usize, requests: &[(IpAddr, String)]) {
        for (n, (ip, path)) in (first..).zip(requests) {
            let took = Duration::from_micros(200 + (n as u64 & 1_023));
            let ended = Ended { outcome: Outcome::Status(200), took, bytes_in: 0, bytes_out: 1_000 };
            let cell = recorder.begin(&self.endpoints[n & 3], &self.route, CallerId::default());
            recorder.client(*ip, hash_of(path.as_str()), ClientOutcome::Fine);
            recorder.end(cell, Some(&ended));
        }
    }
}

fn address(n: usize) -> IpAddr {
    IpAddr::from([10, (n >> 16) as u8, (n >> 8) as u8, n as u8])
}
