//! What the system allows: memory by control groups, descriptors by the process's limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use tokio::time::Instant;

use super::pressure::Usage;

const DESCRIPTORS: &str = "/proc/self/fd";
/// Between two counts one by one.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Where control groups are mounted, everywhere.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// Version 1 says "no bound" with the largest multiple of a page.
const VERSION_1_UNBOUNDED: u64 = 1 << 60;

/// Lets this process open as many descriptors as it may ask for. The limit is low for `select`'s sake,
/// which nothing here calls. The limit that now holds.
///
/// # Errors
/// What the system says; the old limit then holds.
pub fn raise_descriptors() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Counts descriptors.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    counted: Option<(Instant, Usage)>,
}

impl Descriptors {
    /// How many are open, and whether that was counted just now. Since Linux 6.2 the size of the folder
    /// says it; before, they are counted one by one, which is not done at each look.
    pub(super) fn look(&mut self, now: Instant) -> Option<(Usage, bool)> {
        let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let told = fs::metadata(DESCRIPTORS).ok()?.len();
        if told > 0 {
            return Some((Usage { used: told, most }, true));
        }
        if let Some((at, usage)) = self.counted
            && now - at < COUNT_EVERY
        {
            return Some((usage, false));
        }
        let usage = Usage { used: fs::read_dir(DESCRIPTORS).ok()?.count() as u64, most };
        self.counted = Some((now, usage));
        Some((usage, true))
    }
}

/// Resident memory of this process, bytes.
pub(super) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// The tightest bound of the control groups that this process is in; absent: none.
pub(super) fn memory_bound() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    bound_by(&groups, Path::new(CONTROL_GROUPS))
}

/// A line is `NUMBER:CONTROLLERS:PATH`; version 2 has one, without controllers (cgroups(7)).
fn bound_by(groups: &str, mounted: &Path) -> Option<u64> {
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let (root, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            one if one.split(',').any(|c| c == "memory") => (mounted.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let above: Vec<PathBuf> = Path::new(path).ancestors().map(|group| root.join(group)).collect();
        above.iter().filter_map(|group| bound_in(&group.join(file))).min()
    };
    groups.lines().filter_map(of_line).min()
}

/// `max` and version 1's enormous number are no bounds.
fn bound_in(file: &Path) -> Option<u64> {
    let bound = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bound < VERSION_1_UNBOUNDED).then_some(bound)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_on_the_way_up_bounds_the_memory() {
        let mounted = tempfile::tempdir().unwrap();
        let group = mounted.path().join("system.slice/proxy.service");
        fs::create_dir_all(&group).unwrap();
        let bound = |groups| bound_by(groups, mounted.path());
        assert_eq!(bound("0::/system.slice/proxy.service\n"), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(bound("0::/system.slice/proxy.service\n"), None);
        fs::write(mounted.path().join("system.slice/memory.max"), "4096\n").unwrap();
        fs::write(group.join("memory.max"), "8192\n").unwrap();
        assert_eq!(bound("0::/system.slice/proxy.service\n"), Some(4_096));
        let old = mounted.path().join("memory/docker");
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let version_1 = "5:cpu,cpuacct:/docker\n4:memory:/docker\n";
        assert_eq!(bound(version_1), None);
        fs::write(old.join("memory.limit_in_bytes"), "1000\n").unwrap();
        assert_eq!(bound(version_1), Some(1_000));
    }

    #[test]
    fn this_process_uses_something_of_each() {
        let one = fs::File::open("/dev/null").unwrap();
        let (descriptors, fresh) = Descriptors::default().look(Instant::now()).unwrap();
        assert!(fresh && descriptors.used >= 4 && descriptors.used < descriptors.most);
        assert!(resident().unwrap() > 1 << 20);
        drop(one);
    }
}
