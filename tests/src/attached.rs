//! BPF objects that a process has loaded, and whether they still exist.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

/// A BPF object by its id. The kernel reuses ids only after all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loaded {
    Program(u32),
    Map(u32),
    Link(u32),
}

/// All objects that descriptors of `pid` hold, from `fdinfo`.
///
/// # Panics
/// When the process has exited.
#[must_use]
pub fn loaded_by(pid: u32) -> BTreeSet<Loaded> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("read {folder}: {error}"));
    let mut loaded = BTreeSet::new();
    for entry in entries.flatten() {
        // A descriptor may be closed meanwhile.
        let about = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in about.lines() {
            let Some((name, number)) = line.split_once(':') else { continue };
            let Ok(number) = number.trim().parse() else { continue };
            loaded.extend(match name {
                "prog_id" => Some(Loaded::Program(number)),
                "map_id" => Some(Loaded::Map(number)),
                "link_id" => Some(Loaded::Link(number)),
                _ => None,
            });
        }
    }
    loaded
}

/// Waits until none of them exists: the kernel frees them some time after the last holder.
///
/// # Panics
/// When some still exist after [`deadline`](crate::deadline).
pub fn assert_gone(loaded: &BTreeSet<Loaded>) {
    let deadline = Instant::now() + crate::deadline();
    loop {
        let left: Vec<_> = loaded.iter().filter(|object| exists(**object)).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still in the kernel after {:?}: {left:?}", crate::deadline());
        // The kernel sends no notification, so this polls.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the object still exists.
#[must_use]
pub fn exists(object: Loaded) -> bool {
    let (command, number) = match object {
        Loaded::Program(number) => (13, number),
        Loaded::Map(number) => (14, number),
        Loaded::Link(number) => (30, number),
    };
    // `union bpf_attr` of the BPF_*_GET_FD_BY_ID commands: the number, the next number, flags.
    let attributes: [u32; 3] = [number, 0, 0];
    // SAFETY: the kernel reads no more than the size given, and returns a descriptor or -1.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(&attributes)) };
    if descriptor < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "asking for {object:?}: {error}");
        return false;
    }
    // SAFETY: this function owns the descriptor and does not use it again.
    unsafe { libc::close(descriptor as i32) };
    true
}
