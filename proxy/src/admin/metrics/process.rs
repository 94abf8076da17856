//! What the process costs, under the names that every Prometheus client library uses.
//!
//! Read from the kernel at each scrape; what cannot be read is left out rather than shown as 0.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use prometheus::proto::MetricFamily;

use super::family::{Family, gauge};

pub(super) fn families(uptime: Duration) -> Vec<MetricFamily> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key| number(&status, key).map(|kib| (kib * 1024) as f64);
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory size in bytes.", bytes("VmRSS:")),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", bytes("VmSize:")),
        ("process_threads", "Threads of the process.", number(&status, "Threads:").map(|n| n as f64)),
        ("process_open_fds", "Open file descriptors.", open_descriptors()),
        ("process_max_fds", "Most file descriptors that may be open.", most_descriptors()),
        ("process_start_time_seconds", "Start of the process, Unix time in seconds.", started(uptime)),
    ];
    let read = gauges.into_iter().filter_map(|(name, help, value)| Some(gauge(name, help, value?)));
    read.chain(cpu_seconds().map(cpu)).collect()
}

fn cpu(seconds: f64) -> MetricFamily {
    let help = "User and system CPU time spent, in seconds.";
    let mut family = Family::counter("process_cpu_seconds_total", help);
    family.add(&[], seconds);
    family.done()
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(micros as f64 / 1e6)
}

/// The first number after `key` in `/proc/self/status`.
fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The one that reads the directory is not counted.
fn open_descriptors() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn most_descriptors() -> Option<f64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64)
}

fn started(uptime: Duration) -> Option<f64> {
    Some((SystemTime::now().duration_since(UNIX_EPOCH).ok()?).saturating_sub(uptime).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_the_process_costs() {
        let families = families(Duration::from_secs(1));
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(cpu_seconds().is_some_and(|s| s >= 0.0));
        assert_eq!(number("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(number("VmRSS: much\n", "VmRSS:"), None);
    }
}
