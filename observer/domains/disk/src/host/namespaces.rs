//! Finds filesystems that are mounted only in other mount namespaces: those of containers, and of services with private
//! mounts.
//!
//! They are reached through `/proc/PID/root` of a process in the namespace. A search for namespaces runs from time to
//! time. Those with a filesystem that observer's own namespace lacks are queried for every report.
//!
//! A query that could hang is never made: for a filesystem that is not local, or for a path through a mount of a
//! network or FUSE filesystem. Not visible: a filesystem mounted since the last search, in a namespace that had none of
//! its own; and filesystems below a root that the process has left, or below another mount.

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

/// Nanoseconds between two searches for namespaces. A search reads one link per process, at two microseconds each.
const LOOK_AGAIN: u64 = 10_000_000_000;

/// The limits of namespaces per search, and of namespaces with filesystems of their own that are queried for each
/// report.
const LOOKED_INTO: usize = 1024;
const ASKED: usize = 64;

/// A mount namespace, by the number in its link in `/proc`.
type Number = Vec<u8>;

/// The namespaces with filesystems of their own.
#[derive(Debug, Default)]
pub struct Namespaces {
    known: Option<Known>,
    /// The time of the last search, nanoseconds of the boot clock; `None` before the first report.
    looked: Option<u64>,
    /// The running search.
    looking: Option<JoinHandle<Known>>,
}

/// The results of a search.
#[derive(Debug, Default)]
struct Known {
    /// One process of each namespace, by its name in `/proc`.
    processes: BTreeMap<Number, String>,
    /// The number of namespaces that were not searched, or are not queried.
    unread: u64,
}

impl Namespaces {
    /// Starts a search if one is due, in parallel with the other work for the report. The first report has no search:
    /// it comes before everything else is known.
    pub fn begin(&mut self, root: &Path, now: u64) {
        match self.looked {
            None => self.looked = Some(now.saturating_sub(LOOK_AGAIN)),
            Some(at) if now.saturating_sub(at) >= LOOK_AGAIN => {
                self.looked = Some(now);
                let folder = root.to_owned();
                match std::thread::Builder::new().spawn(move || look(&folder)) {
                    Ok(looking) => self.looking = Some(looking),
                    // The limit of threads may be reached.
                    Err(_) => self.known = Some(look(root)),
                }
            }
            Some(_) => {}
        }
    }

    /// Mounts and space of filesystems in other mount namespaces, once a search is complete.
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
            // The process has ended, or its number belongs to another process by now.
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

/// Searches for namespaces, and reads the mounts of each.
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

/// The devices of all mounts in observer's own namespace.
fn devices(own: &Mounts) -> BTreeSet<u32> {
    own.all().map(|mount| mount.dev).collect()
}

/// The local mounts of a namespace that `own` lacks and that may be queried.
fn others<'a>(mounts: &'a Mounts, own: &'a BTreeSet<u32>) -> impl Iterator<Item = &'a Mount> {
    mounts.reached_locally().filter(|mount| is_local(mount) && !mount.read_only && !own.contains(&mount.dev))
}

type MountSpace = (Mount, observer_core::facts::disk::Space);

/// The filesystems that only the process with this folder sees, each by its first mount that can be queried.
fn only_there(process: &Path, own: &BTreeSet<u32>) -> BTreeMap<u32, MountSpace> {
    let mut told = BTreeMap::new();
    let Some(mounts) = Mounts::of(process) else { return told };
    for mount in others(&mounts, own) {
        if told.contains_key(&mount.dev) {
            continue;
        }
        let Some(below) = mount.point.strip_prefix(b"/") else { continue };
        let point: PathBuf = process.join("root").join(OsStr::from_bytes(below));
        // An empty filesystem in RAM is the private `/dev` of a service: every such service has one.
        if let Some(space) = statvfs(&point).filter(|space| space.used > 0) {
            let point = point.into_os_string().into_encoded_bytes();
            told.insert(mount.dev, (Mount { point, ..mount.clone() }, space));
        }
    }
    told
}
