//! Whether a process in `/proc` is the expected one: a process id is reused, so the start time is compared.
//!
//! Not distinguishable: two processes with one id that started within one clock tick (10 ms), for which the
//! machine would have to use all its process ids in that time.

use std::{fs, io, path::Path, time::Duration};

use observer_core::facts::TaskId;

/// The pid namespace that the machine started with: `PROC_PID_INIT_INO` of the kernel.
const INITIAL: &str = "pid:[4026531836]";

/// How `/proc` counts the start time of a process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds that this time namespace's boot clock is ahead of the initial one's, which the kernel side reads.
    ahead: i128,
    /// Nanoseconds.
    tick: i128,
}

impl Clock {
    /// The clock of the time namespace that observer is in.
    pub fn of(root: &Path) -> Self {
        // A kernel without time namespaces has no such file and no such difference.
        let offsets = fs::read_to_string(root.join("proc/self/timens_offsets")).unwrap_or_default();
        let tick = 1_000_000_000 / i128::from(rustix::param::clock_ticks_per_second().max(1));
        Self { ahead: boot_offset(&offsets).unwrap_or(0), tick }
    }

    /// The time since the start of the process `id`, by the boot clock.
    pub fn age(self, id: TaskId) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) - self.ahead;
        Duration::from_nanos(u64::try_from(now - i128::from(id.start)).unwrap_or(0))
    }

    /// Whether `stat`, the text of that file, belongs to the process `id`.
    pub fn started(self, stat: &[u8], id: TaskId) -> bool {
        start_ticks(stat) == Some(self.ticks(id.start))
    }

    /// Whether the process with this folder started when `id` did; `false` if it is gone.
    pub fn is(self, folder: &Path, id: TaskId) -> bool {
        started(folder).is_ok_and(|ticks| ticks == Some(self.ticks(id.start)))
    }

    /// Whether the process is certainly gone: no process has its id, or one that started at another time. A read
    /// error (no descriptor left, no permission) proves nothing.
    fn has_ended(self, folder: &Path, id: TaskId) -> bool {
        match started(folder) {
            Ok(ticks) => ticks.is_some_and(|ticks| ticks != self.ticks(id.start)),
            Err(error) => matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)),
        }
    }

    /// The start time `start` (nanoseconds of the initial boot clock) as `stat` shows it: whole ticks, rounded down.
    fn ticks(self, start: u64) -> u64 {
        u64::try_from((i128::from(start) + self.ahead) / self.tick).unwrap_or(0)
    }
}

/// Those of `ids` that have ended; none where `/proc` does not [show every process](shows_all).
pub fn ended(root: &Path, clock: Clock, ids: impl Iterator<Item = TaskId>) -> Vec<TaskId> {
    let processes = root.join("proc");
    if !shows_all(&processes) {
        return Vec::new();
    }
    ids.filter(|id| clock.has_ended(&processes.join(id.pid().to_string()), *id)).collect()
}

/// Whether `/proc` shows every process by the number that the kernel side has: not in another pid namespace than the
/// initial one, nor where it hides what others run.
fn shows_all(processes: &Path) -> bool {
    let namespace = fs::read_link(processes.join("self/ns/pid")).ok();
    namespace.is_some_and(|name| name == Path::new(INITIAL)) && started(&processes.join("1")).is_ok()
}

/// Those of the process ids `pids` that no process has; none where `/proc` does not show every process.
#[must_use]
pub fn missing(root: &Path, pids: &[u32]) -> Vec<u32> {
    let processes = root.join("proc");
    if !shows_all(&processes) {
        return Vec::new();
    }
    let is_missing = |pid: &&u32| {
        let error = started(&processes.join(pid.to_string())).err();
        matches!(error.and_then(|error| error.raw_os_error()), Some(libc::ENOENT | libc::ESRCH))
    };
    pids.iter().filter(is_missing).copied().collect()
}

/// The boot clock's offset in the text of `timens_offsets`, nanoseconds.
fn boot_offset(offsets: &str) -> Option<i128> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i128>);
    Some(numbers.next()?.ok()? * 1_000_000_000 + numbers.next()?.ok()?)
}

/// The start time of the process with this folder, ticks since boot; `None` if its `stat` lacks it. One read is
/// consistent, and the fields up to the start time always fit.
///
/// # Errors
/// When the file cannot be read.
pub fn started(folder: &Path) -> io::Result<Option<u64>> {
    use io::Read as _;
    let mut stat = [0; 1024];
    let length = fs::File::open(folder.join("stat"))?.read(&mut stat)?;
    Ok(start_ticks(&stat[..length]))
}

/// The start time in the text of `stat`, ticks since boot: field 22. The second field is the command in parentheses and
/// can hold spaces and parentheses itself, so fields are counted from the last one that closes.
pub fn start_ticks(stat: &[u8]) -> Option<u64> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let field =
        stat.get(after..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_stat_has_no_start() {
        for text in
            ["", "7 (x", "7 (x)", "7 (x) S 1 2 3", "7 (x) S 1 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 -5 1"]
        {
            assert_eq!(start_ticks(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_a_process_that_is_certainly_gone_has_ended() {
        let root = std::env::temp_dir().join(format!("observer-ended-{}", std::process::id()));
        let stat = |pid: u64, start| {
            fs::create_dir_all(root.join(format!("proc/{pid}"))).unwrap();
            let text = format!("{pid} (x) S{} {start} 0", " 0".repeat(18));
            fs::write(root.join(format!("proc/{pid}/stat")), text).unwrap();
        };
        let id = |tgid| TaskId { start: 70_000_000, tgid };
        let found = || ended(&root, Clock::of(&root), [id(2), id(3), id(4), id(5)].into_iter());
        for (pid, start) in [(1, 0), (2, 7), (3, 8)] {
            stat(pid, start);
        }
        // It exists and cannot be read as a file.
        fs::create_dir_all(root.join("proc/4/stat")).unwrap();
        fs::create_dir_all(root.join("proc/self/ns")).unwrap();
        assert_eq!(found(), [], "the namespace is unknown");
        std::os::unix::fs::symlink(INITIAL, root.join("proc/self/ns/pid")).unwrap();
        assert_eq!(found(), [id(3), id(5)]);
        fs::remove_dir_all(root.join("proc/1")).unwrap();
        assert_eq!(found(), [], "other processes are hidden");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_time_namespace_is_ahead_or_behind() {
        assert_eq!(boot_offset("monotonic  0  0\nboottime  -10  500000000\n"), Some(-9_500_000_000));
        assert_eq!(boot_offset(""), None);
        let clock = Clock { ahead: -9_500_000_000, tick: 10_000_000 };
        assert_eq!((clock.ticks(123_459_999_999), clock.ticks(1)), (11_395, 0));
    }
}
