//! The names of a process, from `/proc`: its executable, its cgroup, its arguments.
//!
//! A process id in `/proc` is reused. The directory is therefore opened first: what is read through it belongs to one
//! process or fails, even if the id is reused meanwhile; the start time in `stat` then shows whether it is the
//! requested process. Not visible: in a pid namespace other than the initial one, processes have other ids, and none
//! is found; a process with a `/proc` that is hidden from this user (`hidepid`) counts as gone; arguments beyond
//! [`ARGUMENTS`] are cut off.

use std::{
    fs,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, openat, readlinkat},
    io::Errno,
};

use super::process::Clock;
use observer_core::{
    facts::{Fact, TaskId, process::ProcessFact},
    queries::HostQueries,
};

/// The most bytes of arguments that are kept: one argument can be this long (the kernel's `MAX_ARG_STRLEN`).
const ARGUMENTS: usize = 128 * 1024;

/// Answers the names that a report asked for: ten system calls a process, four more for its arguments.
pub fn answer(root: &Path, clock: Clock, queries: &HostQueries, out: &mut Vec<Fact>) {
    if queries.names.is_empty() {
        return;
    }
    let mut reader = ProcessReader {
        proc: root.join("proc"),
        clock,
        cmdline: queries.cmdline,
        text: Vec::with_capacity(4096),
    };
    out.extend(queries.names.iter().filter_map(|id| reader.names(*id)).map(Fact::Process));
}

/// Why the names of a process could not be read.
enum Failure {
    /// The process no longer exists.
    Gone,
    /// This user may not read them.
    Forbidden,
    /// Independent of the process (no descriptor or memory left): the query may be repeated.
    Passing,
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::SRCH | Errno::NOTDIR => Self::Gone,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            _ => Self::Passing,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Errno::from_io_error(&error).map_or(Self::Passing, Self::from)
    }
}

/// Shared state for reading the processes of one answer.
struct ProcessReader {
    proc: PathBuf,
    clock: Clock,
    cmdline: bool,
    text: Vec<u8>,
}

impl ProcessReader {
    fn names(&mut self, id: TaskId) -> Option<ProcessFact> {
        match self.read(id) {
            Ok(named) => Some(named),
            Err(Failure::Gone) => Some(ProcessFact::Unnamed { id }),
            Err(Failure::Forbidden) => {
                Some(ProcessFact::Named { id, exe: None, cgroup: None, cmdline: None })
            }
            Err(Failure::Passing) => None,
        }
    }

    fn read(&mut self, id: TaskId) -> Result<ProcessFact, Failure> {
        let path = self.proc.join(id.pid().to_string());
        let directory =
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut stat = [0; 1024];
        let file = openat(&directory, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        // One read is consistent, and the fields up to the start time always fit.
        let length = rustix::io::read(file, &mut stat)?;
        if !self.clock.started(&stat[..length], id) {
            return Err(Failure::Gone);
        }
        let mut thread = None;
        // Kernel threads have none, and a process that ended and was not waited for has lost its own; both still have
        // a cgroup. A process that is gone has neither.
        let exe = match readlinkat(&directory, "exe", Vec::new()) {
            Ok(target) => Some(target.into_bytes()),
            // Its main thread has ended, and others may live.
            Err(Errno::NOENT) if is_zombie(&stat[..length]) => {
                thread = self.living_thread(&directory);
                let target = thread.as_ref().and_then(|thread| readlinkat(thread, "exe", Vec::new()).ok());
                target.map(std::ffi::CString::into_bytes)
            }
            Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => None,
            Err(error) => return Err(error.into()),
        };
        let cgroup = match self.content(&directory, "cgroup", usize::MAX) {
            Ok(()) => cgroup_path(&self.text),
            // The process ended after its executable was read, or the kernel has no cgroups.
            Err(Failure::Gone) if exe.is_some() => None,
            Err(Failure::Forbidden) => None,
            Err(failure) => return Err(failure),
        };
        let mut cmdline = None;
        if self.cmdline && self.content(thread.as_ref().unwrap_or(&directory), "cmdline", ARGUMENTS).is_ok() {
            cmdline = Some(self.text.clone());
        }
        Ok(ProcessFact::Named { id, exe, cgroup, cmdline })
    }

    /// The folder of a thread of the process that has its memory.
    fn living_thread(&self, directory: &OwnedFd) -> Option<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let threads = openat(directory, "task", flags | OFlags::RDONLY, Mode::empty()).ok()?;
        let names = rustix::fs::Dir::read_from(&threads).ok()?;
        names.flatten().filter(|entry| !entry.file_name().to_bytes().starts_with(b".")).find_map(|entry| {
            let thread = openat(&threads, entry.file_name(), flags | OFlags::PATH, Mode::empty()).ok()?;
            readlinkat(&thread, "exe", Vec::new()).is_ok().then_some(thread)
        })
    }

    /// Reads up to `most` bytes of the file `name` into `text`.
    fn content(&mut self, directory: &OwnedFd, name: &str, most: usize) -> Result<(), Failure> {
        let file = openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        self.text.clear();
        fs::File::from(file).take(most as u64).read_to_end(&mut self.text)?;
        Ok(())
    }
}

/// Whether the main thread has ended, by the text of `stat`: its state follows its name, which is in brackets.
fn is_zombie(stat: &[u8]) -> bool {
    let after = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    matches!(after, Some(b'Z'))
}

/// The most informative path in the text of `cgroup`: that of version 2, unless all processes are in its root because
/// version 1 is in use; else that of systemd's hierarchy; else that of the memory controller.
pub fn cgroup_path(text: &[u8]) -> Option<Vec<u8>> {
    let lines = || {
        text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            Some((parts.next()?, parts.next()?, parts.next()?))
        })
    };
    let unified = lines().find(|(number, controllers, _)| *number == b"0" && controllers.is_empty());
    let systemd = || lines().find(|(_, controllers, _)| *controllers == b"name=systemd");
    let memory = || {
        lines()
            .find(|(_, controllers, _)| controllers.split(|byte| *byte == b',').any(|one| one == b"memory"))
    };
    let line = unified.filter(|(_, _, path)| *path != b"/").or_else(systemd).or_else(memory).or(unified)?;
    Some(line.2.to_vec())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::{super::process::start_ticks, *};

    /// A made-up `/proc`, removed when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("observer-names-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("proc/self")).unwrap();
            Self(path)
        }

        fn process(&self, pid: u32, comm: &str, ticks: u64) -> PathBuf {
            let path = self.0.join(format!("proc/{pid}"));
            fs::create_dir_all(&path).unwrap();
            let stat =
                format!("{pid} ({comm}) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} 1000 200\n");
            fs::write(path.join("stat"), stat).unwrap();
            path
        }

        fn answer(&self, ids: &[TaskId], cmdline: bool) -> Vec<ProcessFact> {
            ask(&self.0, ids, cmdline)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn ask(root: &Path, ids: &[TaskId], cmdline: bool) -> Vec<ProcessFact> {
        let mut out = Vec::new();
        answer(
            root,
            Clock::of(root),
            &HostQueries::of_names(ids.iter().copied().collect(), cmdline),
            &mut out,
        );
        out.into_iter()
            .map(|fact| match fact {
                Fact::Process(fact) => fact,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// A process that started `ticks` hundredths of a second after boot, and a bit.
    fn id(tgid: u64, ticks: u64) -> TaskId {
        TaskId { start: ticks * 10_000_000 + 9_999_999, tgid }
    }

    fn named(id: TaskId, exe: Option<&str>, cgroup: Option<&str>, cmdline: Option<&[u8]>) -> ProcessFact {
        let bytes = |text: &str| text.as_bytes().to_vec();
        ProcessFact::Named {
            id,
            exe: exe.map(bytes),
            cgroup: cgroup.map(bytes),
            cmdline: cmdline.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn names_belong_to_the_requested_process() {
        let root = Root::new("read");
        let path = root.process(7, "a) R 1 (b", 12_345);
        std::os::unix::fs::symlink("/opt/x (deleted)", path.join("exe")).unwrap();
        fs::write(path.join("cgroup"), "0::/system.slice/x.service\n").unwrap();
        fs::write(path.join("cmdline"), b"x\0-v\0").unwrap();
        let x = id(7, 12_345);
        let (exe, cgroup) = (Some("/opt/x (deleted)"), Some("/system.slice/x.service"));
        assert_eq!(root.answer(&[x], false), [named(x, exe, cgroup, None)]);
        assert_eq!(root.answer(&[x], true), [named(x, exe, cgroup, Some(b"x\0-v\0"))]);
    }

    #[test]
    fn another_process_with_the_same_id_is_never_named() {
        let root = Root::new("reused");
        let path = root.process(7, "x", 12_345);
        std::os::unix::fs::symlink("/opt/x", path.join("exe")).unwrap();
        for other in [id(7, 12_344), id(7, 12_346), id(8, 12_345)] {
            assert_eq!(root.answer(&[other], false), [ProcessFact::Unnamed { id: other }]);
        }
    }

    #[test]
    fn a_kernel_thread_has_a_cgroup_and_no_executable() {
        let root = Root::new("kernel");
        let path = root.process(2, "kthreadd", 0);
        fs::write(path.join("cgroup"), "0::/\n").unwrap();
        assert_eq!(root.answer(&[id(2, 0)], false), [named(id(2, 0), None, Some("/"), None)]);
    }

    #[test]
    fn a_process_that_ends_during_the_read_is_unnamed_unless_its_executable_was_read() {
        let root = Root::new("middle");
        let path = root.process(7, "x", 5);
        assert_eq!(root.answer(&[id(7, 5)], false), [ProcessFact::Unnamed { id: id(7, 5) }]);
        std::os::unix::fs::symlink("/opt/x", path.join("exe")).unwrap();
        assert_eq!(root.answer(&[id(7, 5)], false), [named(id(7, 5), Some("/opt/x"), None, None)]);
    }

    #[test]
    fn a_time_namespace_shifts_the_start_times_in_proc() {
        let root = Root::new("timens");
        fs::write(root.0.join("proc/self/timens_offsets"), "monotonic  0  0\nboottime  -10  500000000\n")
            .unwrap();
        let path = root.process(7, "x", 12_345 - 950);
        fs::write(path.join("cgroup"), "0::/y\n").unwrap();
        assert_eq!(root.answer(&[id(7, 12_345)], false), [named(id(7, 12_345), None, Some("/y"), None)]);
    }

    #[test]
    fn the_most_informative_cgroup_is_used() {
        let cases: &[(&str, Option<&str>)] = &[
            ("0::/system.slice/a:b.service\n", Some("/system.slice/a:b.service")),
            ("5:memory:/m\n1:name=systemd:/s\n0::/u\n", Some("/u")),
            ("5:memory:/m\n1:name=systemd:/s\n0::/\n", Some("/s")),
            ("5:cpu,memory:/m\n2:freezer:/f\n0::/\n", Some("/m")),
            ("5:memory:/m\n", Some("/m")),
            ("0::/\n", Some("/")),
            ("2:memory_other:/f\n", None),
            ("", None),
        ];
        for (text, path) in cases {
            assert_eq!(cgroup_path(text.as_bytes()).as_deref(), path.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn a_running_child_is_named_a_reaped_one_is_not_and_a_zombie_has_its_cgroup() {
        let proc_start = |pid: u32| {
            let ticks = start_ticks(&fs::read(format!("/proc/{pid}/stat")).unwrap()).unwrap();
            TaskId { start: ticks * 10_000_000, tgid: u64::from(pid) }
        };
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Its arguments are in place only when it runs: its output proves that.
        let mut stdout = child.stdout.take().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        let id = proc_start(child.id());
        let cat = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        let [ProcessFact::Named { exe, cgroup: Some(_), cmdline, .. }] =
            &ask(Path::new("/"), &[id], true)[..]
        else {
            panic!()
        };
        assert_eq!(exe.as_deref(), Some(cat.as_os_str().as_encoded_bytes()));
        assert_eq!(cmdline.as_deref(), Some(&b"cat\0"[..]));

        // Its output ends with it; it keeps its process id until it is waited for.
        drop(child.stdin.take());
        stdout.read_to_end(&mut Vec::new()).unwrap();
        while !fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(matches!(
            ask(Path::new("/"), &[id], false)[..],
            [ProcessFact::Named { exe: None, cgroup: Some(_), .. }]
        ));
        child.wait().unwrap();
        assert_eq!(ask(Path::new("/"), &[id], false), [ProcessFact::Unnamed { id }]);
    }
}
