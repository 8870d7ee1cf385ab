//! The owner of a network namespace: the control group of the oldest process in it, as far as `/proc` shows its
//! processes to this user.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    thread,
};

use crate::queries::NetQueries;
use observer_core::facts::{Fact, net::NetFact};
use observer_host::{names::cgroup_path, process::started};

/// Answers the queries about namespaces. It reads every process once, for any number of namespaces.
pub fn answer(root: &Path, wants: &NetQueries, out: &mut Vec<Fact>) {
    if wants.namespaces.is_empty() {
        return;
    }
    let mut eldest: HashMap<u32, (u64, PathBuf)> = HashMap::new();
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return };
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(netns) = namespace(&folder).filter(|netns| wants.namespaces.contains(netns)) else {
            continue;
        };
        let Ok(Some(started)) = started(&folder) else { continue };
        if eldest.get(&netns).is_none_or(|known| (started, &folder) < (known.0, &known.1)) {
            eldest.insert(netns, (started, folder));
        }
    }
    for &netns in &wants.namespaces {
        let text = eldest.get(&netns).and_then(|(_, folder)| fs::read(folder.join("cgroup")).ok());
        let cgroup = text.as_deref().and_then(cgroup_path);
        out.push(Fact::Net(NetFact::Namespace { netns, cgroup }));
    }
}

/// The inode number in `net:[4026531840]`, for the process with this folder in `/proc`.
pub fn namespace(folder: &Path) -> Option<u32> {
    let number = folder.file_name()?.to_str()?;
    if number != "self" && !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let link = fs::read_link(folder.join("ns/net")).ok()?;
    number_in(link.to_str()?)
}

/// The inode number in `net:[4026531840]`.
pub fn number_in(name: &str) -> Option<u32> {
    name.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Does `work` in the network namespace behind `file`, in a thread of its own; `None` if the kernel denies it.
pub fn inside<T: Send + 'static>(file: File, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let enter = move || {
        // SAFETY: the call takes an open descriptor. It moves only this thread, which ends afterwards.
        (unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } == 0).then(work)
    };
    thread::spawn(enter).join().ok()?
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_namespace_is_its_eldest_process_s() {
        let root = std::env::temp_dir().join(format!("observer-netns-{}", std::process::id()));
        let process = |pid: &str, netns: &str, started: u64, cgroup: &str| {
            let folder = root.join("proc").join(pid);
            fs::create_dir_all(folder.join("ns")).unwrap();
            symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
            let stat = format!("{pid} (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {started} 1000 200\n");
            fs::write(folder.join("stat"), stat).unwrap();
            fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
        };
        process("30", "7", 500, "/app");
        process("900", "7", 400, "/sandbox");
        process("31", "8", 100, "/other");
        process("irq", "7", 1, "/none");
        let wants = NetQueries { namespaces: BTreeSet::from([7, 9]), ..NetQueries::default() };
        let mut out = Vec::new();
        answer(&root, &wants, &mut out);
        fs::remove_dir_all(&root).unwrap();
        let said = |netns, cgroup: Option<&str>| {
            Fact::Net(NetFact::Namespace { netns, cgroup: cgroup.map(|path| path.into()) })
        };
        assert_eq!(out, [said(7, Some("/sandbox")), said(9, None)]);
    }
}
