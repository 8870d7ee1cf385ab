//! Filesystems that are mounted in other mount namespaces only: those of containers, of services with private mounts.
//!
//! They are reached through `/proc/PID/root` of a process in the namespace. Which namespaces there are is looked for now and
//! then; those that have a filesystem that observer's own has not are asked at every report.
//!
//! Never asked is what could hang: a filesystem that is no local one, and one that a path leads to through a mount of a
//! network or FUSE filesystem. Not seen: a filesystem that came since the last look, in a namespace that had none of its
//! own; filesystems below a root that the process has left, or that another is mounted over.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use super::files::statvfs;
use observer_core::facts::{
    Fact,
    disk::{DiskFact, ForeignMounts, Mount},
};
use observer_host::mounts::{Mounts, is_local};

/// Nanoseconds between two looks for namespaces: a link is read of each process, two microseconds each.
const LOOK_AGAIN: u64 = 10_000_000_000;

/// So many namespaces are looked into, and so many with filesystems of their own are asked at each report.
const LOOKED_INTO: usize = 1024;
const ASKED: usize = 64;

/// A mount namespace, by the number that its link in `/proc` has.
type Number = Vec<u8>;

/// The namespaces that have filesystems of their own.
#[derive(Debug, Default)]
pub struct Namespaces {
    known: Option<Known>,
    /// When they were last looked for, nanoseconds of the boot clock; `None` before the first report.
    looked: Option<u64>,
    /// A look that is under way.
    looking: Option<JoinHandle<Known>>,
}

/// What a look has found.
#[derive(Debug, Default)]
struct Known {
    /// A process of each namespace, as it is called in `/proc`.
    processes: BTreeMap<Number, String>,
    /// How many were not looked into, or are not asked.
    unread: u64,
}

impl Namespaces {
    /// Begins to look, if it is time to, beside what else is done for the report. Not for the first report: that comes before
    /// all else is known.
    pub fn begin(&mut self, root: &Path, now: u64) {
        match self.looked {
            None => self.looked = Some(now.saturating_sub(LOOK_AGAIN)),
            Some(at) if now.saturating_sub(at) >= LOOK_AGAIN => {
                self.looked = Some(now);
                let folder = root.to_owned();
                match std::thread::Builder::new().spawn(move || look(&folder)) {
                    Ok(looking) => self.looking = Some(looking),
                    // There may be no more threads.
                    Err(_) => self.known = Some(look(root)),
                }
            }
            Some(_) => {}
        }
    }

    /// Mounts and space of what is mounted elsewhere, once they have been looked for.
    pub fn tell(&mut self, root: &Path, own: &Mounts, now: u64, out: &mut Vec<Fact>) {
        if let Some(looking) = self.looking.take() {
            self.known = looking.join().ok();
        }
        let Some(known) = &self.known else { return };
        let own = devices(own);
        let mut others = BTreeMap::new();
        for (number, process) in &known.processes {
            let folder = root.join("proc").join(process);
            for (dev, told) in only_there(&folder, &own) {
                others.entry(dev).or_insert(told);
            }
            // It has ended, or its number is another process's by now.
            if namespace(&folder).as_ref() != Some(number) {
                self.looked = Some(now.saturating_sub(LOOK_AGAIN));
            }
        }
        let mut mounts = Vec::new();
        for (dev, (mount, space)) in others {
            out.push(Fact::Disk(DiskFact::Space { dev, space }));
            mounts.push(mount);
        }
        out.push(Fact::Disk(DiskFact::ForeignMounts(ForeignMounts { mounts, unread: known.unread })));
    }
}

/// Looks for namespaces, and into each of them.
fn look(root: &Path) -> Known {
    let processes = root.join("proc");
    let own = namespace(&processes.join("self"));
    let devices = Mounts::of(&processes.join("self")).map_or_else(BTreeSet::new, |own| devices(&own));
    let mut found: BTreeMap<Number, String> = BTreeMap::new();
    for entry in fs::read_dir(&processes).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        if let Some(number) = namespace(&processes.join(&name)).filter(|number| Some(number) != own.as_ref())
        {
            found.entry(number).or_insert(name);
        }
    }
    let many = found.len();
    let known = found.into_iter().take(LOOKED_INTO).filter(|(_, process)| {
        Mounts::of(&processes.join(process)).is_some_and(|mounts| others(&mounts, &devices).next().is_some())
    });
    let known: Vec<_> = known.collect();
    let unread = many.saturating_sub(LOOKED_INTO) + known.len().saturating_sub(ASKED);
    Known { processes: known.into_iter().take(ASKED).collect(), unread: unread as u64 }
}

fn namespace(process: &Path) -> Option<Number> {
    Some(fs::read_link(process.join("ns/mnt")).ok()?.into_os_string().into_encoded_bytes())
}

/// The devices of all that observer's own namespace has.
fn devices(own: &Mounts) -> BTreeSet<u32> {
    own.all().map(|mount| mount.dev).collect()
}

/// What a namespace has that `own` has not, and what may be asked.
fn others<'a>(mounts: &'a Mounts, own: &'a BTreeSet<u32>) -> impl Iterator<Item = &'a Mount> {
    mounts.reached_locally().filter(|mount| is_local(mount) && !mount.read_only && !own.contains(&mount.dev))
}

type MountSpace = (Mount, observer_core::facts::disk::Space);

/// The filesystems that only the process with this folder sees, each by the first of its mounts that can be asked.
fn only_there(process: &Path, own: &BTreeSet<u32>) -> BTreeMap<u32, MountSpace> {
    let mut told = BTreeMap::new();
    let Some(mounts) = Mounts::of(process) else { return told };
    for mount in others(&mounts, own) {
        if told.contains_key(&mount.dev) {
            continue;
        }
        let Some(below) = mount.point.strip_prefix(b"/") else { continue };
        let point: PathBuf = process.join("root").join(OsStr::from_bytes(below));
        // What is in RAM and empty is the folder of devices of some service: there is one of each.
        if let Some(space) = statvfs(&point).filter(|space| space.used > 0) {
            let point = point.into_os_string().into_encoded_bytes();
            told.insert(mount.dev, (Mount { point, ..mount.clone() }, space));
        }
    }
    told
}
