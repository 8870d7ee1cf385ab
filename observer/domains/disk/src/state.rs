//! Builds the state of the disk domain from facts.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    file::{Deletion, HeldFile},
    growth::GrowingFiles,
    inode_scan::InodeScanSchedule,
    kernel_holder::KernelHolder,
    mounted,
    space::Spaces,
    writer::Writers,
};
use observer_core::{
    facts::{
        TaskId,
        disk::{DiskFact, ForeignMounts, Found, InodeId, LoopDevice, Mount},
        session::{SessionFact, Timestamp},
    },
    view::{Request, View},
};

mod queries;

pub use self::queries::FILES_A_REPORT;

/// The state of the disk domain.
#[derive(Debug)]
pub struct DiskState {
    window: f64,
    view: View,
    /// Whether the queries of all views are made: for a recording, or for problems.
    all: bool,
    /// Whether the names of every writer are queried.
    records: bool,
    pub files: BTreeMap<InodeId, HeldFile>,
    /// All mounts, those of observer's own mount namespace first.
    pub mounts: Vec<Mount>,
    own_mounts: Vec<Mount>,
    pub other_mounts: ForeignMounts,
    pub spaces: Spaces,
    pub writers: Writers,
    pub lists: InodeScanSchedule,
    /// Loop devices with a file.
    pub loops: Vec<LoopDevice>,
    pub growth: GrowingFiles,
    /// The last time at which a filesystem had more growing files than are queried for a report, by device.
    late: BTreeMap<u32, u64>,
    /// Whether growth on ext4 has events.
    pub growth_by_event: bool,
    /// Whether growth on other filesystems, and growth in RAM, has events.
    pub work_by_event: bool,
    pub work_in_ram: bool,
    /// Whether scans find holders.
    pub holders_by_scan: bool,
    /// Whether the inode lists can be read.
    pub lists_by_scan: bool,
    /// The number of reports that were due so far.
    reports: u64,
    /// The time of the last query for mappings, nanoseconds of the boot clock.
    mapped_at: u64,
    /// Whether a mapping could not be reached: it may be gone, so mappings are read for the next report.
    recheck: bool,
    unreached: bool,
}

impl DiskState {
    /// A state without facts.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        Self {
            window: request.window,
            view: request.view,
            all: request.records || request.problems,
            records: request.records,
            files: BTreeMap::new(),
            mounts: Vec::new(),
            own_mounts: Vec::new(),
            other_mounts: ForeignMounts::default(),
            spaces: Spaces::new(request.window),
            writers: Writers::default(),
            lists: InodeScanSchedule::default(),
            loops: Vec::new(),
            growth: GrowingFiles::new(request.window),
            late: BTreeMap::new(),
            growth_by_event: true,
            work_by_event: true,
            work_in_ram: true,
            holders_by_scan: true,
            lists_by_scan: true,
            reports: 0,
            mapped_at: 0,
            recheck: false,
            unreached: false,
        }
    }

    /// The files of the view: held ones or, without scans of holders, growing ones.
    pub fn held(&self) -> impl Iterator<Item = (InodeId, &HeldFile)> {
        let held = |file: &HeldFile| {
            !file.holders.is_empty()
                || file.listing.is_some()
                || !self.holders_by_scan && !file.writers.is_empty()
        };
        self.files.iter().filter(move |(_, file)| held(file)).map(|(inode, file)| (*inode, file))
    }

    /// Whether the queries of `view` are made.
    fn queries_for(&self, view: View) -> bool {
        self.all || self.view == view
    }

    fn file(&mut self, inode: InodeId) -> &mut HeldFile {
        let early = self.reports == 0;
        let window = self.window;
        let growth = &self.growth;
        self.files.entry(inode).or_insert_with(|| {
            let mut file = HeldFile::new(window, early);
            // The growth before the deletion is known, and does not count.
            if let Some(known) = growth.files.get(&inode).filter(|known| known.growing.exact) {
                file.grows(&known.growing);
            }
            file
        })
    }

    pub(super) fn take(&mut self, fact: &DiskFact) {
        match fact {
            DiskFact::File { inode, file } => {
                let known = self.file(*inode);
                known.file = Some(*file);
                let listed = known.is_listed_alone();
                self.lists.changed |= listed;
            }
            DiskFact::FileGone { inode } => {
                self.files.remove(inode);
                self.lists.released = true;
            }
            DiskFact::Holder { inode, id, hold } => self.file(*inode).hold(*id, hold),
            DiskFact::HolderGone { inode, id, how } => {
                if let Some(file) = self.files.get_mut(inode) {
                    file.release(*id, *how);
                }
            }
            DiskFact::Deleted { inode, by, at } => {
                self.file(*inode).deleted = Some(Deletion { by: *by, at: *at });
            }
            DiskFact::Writers { inode, written } => {
                self.file(*inode).writers = written.iter().copied().collect();
            }
            DiskFact::Asked { inode, answer } => {
                // The answer may be about a file that is gone.
                let Some(file) = self.files.get_mut(inode) else { return };
                self.unreached |= answer.path.is_none() && file.undescribed();
                file.answered(answer);
            }
            DiskFact::Mounts(mounts) => {
                self.own_mounts.clone_from(mounts);
                self.mount();
            }
            DiskFact::ForeignMounts(mounts) => {
                self.other_mounts.clone_from(mounts);
                self.mount();
            }
            DiskFact::Space { dev, space } => self.spaces.take(*dev, *space),
            DiskFact::Written { id, written, cancelled } => {
                self.writers.take(*id, written.saturating_sub(*cancelled));
            }
            DiskFact::WriterGone { id } => self.writers.gone(*id),
            DiskFact::Listed { inode, listing } => {
                // A file in the first reading existed before, although that reading may be later than the first report.
                let early = self.lists.walk.is_none();
                let file = self.file(*inode);
                file.early |= early;
                file.listing = Some(listing.clone());
                self.lists.changed = true;
            }
            DiskFact::Unlisted { inode } => {
                if let Some(file) = self.files.get_mut(inode) {
                    file.listing = None;
                }
                self.lists.changed = true;
            }
            DiskFact::Walked(walk) => self.lists.walk = Some(*walk),
            DiskFact::Loops(loops) => self.loops.clone_from(loops),
            DiskFact::FileGrowth { inode, growing } => {
                self.growth.take(*inode, growing);
                // Shares that were exact may be so no longer.
                let held = self.files.get(inode);
                let exact = growing.exact || held.is_some_and(HeldFile::has_exact_shares);
                if exact && (growing.unlinked || held.is_some()) {
                    self.file(*inode).grows(growing);
                }
            }
            DiskFact::GrowingGone { inode, freed } => self.growth.leave(*inode, *freed),
            DiskFact::Found { inode, found } => {
                let cached = self.cached(*inode).filter(|_| *found == Found::Unreached);
                self.growth.found(*inode, cached.as_ref().unwrap_or(found));
                self.growth.reached(*inode, *found != Found::Unreached);
                if let (Some(file), Some((stat, _))) = (self.files.get_mut(inode), found.file()) {
                    file.found(stat.size);
                }
            }
            DiskFact::Cached { inode, found } => {
                if let Some(file) = self.growth.files.get_mut(inode) {
                    file.cached = Some(found.clone());
                }
                if let Some(found) = self.cached(*inode).filter(|_| self.growth.is_unreached(*inode)) {
                    self.growth.found(*inode, &found);
                }
            }
            DiskFact::Pinned { inode, pins } => {
                if let Some(file) = self.files.get_mut(inode) {
                    file.pins.clone_from(pins);
                }
            }
            DiskFact::Limits { dev, limits } => self.spaces.limit(*dev, limits),
            DiskFact::Freed { dev, bytes } => self.growth.accounting.freed(*dev, *bytes),
            DiskFact::Shared { inode, bytes } => {
                if let Some(file) = self.files.get_mut(inode) {
                    file.shares(*bytes);
                }
            }
        }
    }

    /// What the kernel's name cache has about a growing file, with the path as seen from here.
    fn cached(&self, inode: InodeId) -> Option<Found> {
        let found = self.growth.files.get(&inode)?.cached.as_ref()?;
        let path = found.file()?.1.as_ref();
        let local = path.and_then(|path| mounted::below(&self.mounts, inode.dev, path));
        Some(found.with_path(local))
    }

    /// Merges the mounts of all namespaces. Filesystems of observer's own namespace are taken from there.
    fn mount(&mut self) {
        self.mounts.clone_from(&self.own_mounts);
        let own: BTreeSet<u32> = self.own_mounts.iter().map(|mount| mount.dev).collect();
        let others = self.other_mounts.mounts.iter().filter(|mount| !own.contains(&mount.dev));
        self.mounts.extend(others.cloned());
    }

    pub(super) fn session(&mut self, session: &SessionFact) {
        self.writers.began = session.began.boot;
        let has = |hook: &str| !session.missing.iter().any(|missing| missing.hook == hook);
        self.growth_by_event = has("disk.growth");
        self.work_by_event = has("disk.work");
        self.work_in_ram =
            self.work_by_event && !session.limitations.iter().any(|gap| gap.hook == "disk.work");
        self.holders_by_scan = has("disk.descriptors");
        self.lists_by_scan = has("disk.inodes");
    }

    /// A report is due at `now`: every series continues to it, and the queried files are noted.
    pub(super) fn sample(&mut self, now: Timestamp) {
        self.note_queries(now);
        for handle in self.extents(now) {
            if let Some(file) = self.files.get_mut(&handle.inode) {
                file.extents_queried(now.boot);
            }
        }
        let queried = self.largest();
        for (inode, file) in &mut self.files {
            if !queried.contains(inode) {
                file.forget_stat();
            }
            file.sample(now.boot);
        }
        // A file that was written to and not held for a whole interval: it is gone, or its holder is not visible.
        if self.holders_by_scan {
            self.files.retain(|_, file| file.file.is_some());
        }
        let kept: BTreeSet<u32> = self.mounts.iter().map(|mount| mount.dev).collect();
        self.spaces.sample(now.boot, &kept);
        self.late.retain(|dev, _| kept.contains(dev));
        self.growth.accounting.sample(now.boot, kept.into_iter());
        let (mappings, inodes) = (self.wants_mappings(now), self.wants_inodes(now));
        if mappings {
            self.mapped_at = now.boot;
        }
        self.lists.report(now.boot, inodes);
        self.recheck = std::mem::take(&mut self.unreached);
        self.reports += 1;
    }

    /// Whether, within the window, more files of `dev` grew than were queried: their blocks are known later.
    pub fn is_late(&self, dev: u32, now: u64) -> bool {
        self.late.get(&dev).is_some_and(|at| now.saturating_sub(*at) as f64 <= self.window * 1e9)
    }

    /// The holder of a file that no process holds.
    #[must_use]
    pub fn kernel_holder(&self, inode: InodeId, file: &HeldFile) -> Option<KernelHolder> {
        KernelHolder::of(inode, file, &self.loops)
    }

    /// The last path of a file: from its holder's `/proc`, or from the mount of its filesystem in observer's namespace.
    #[must_use]
    pub fn path<'a>(&'a self, inode: InodeId, file: &'a HeldFile) -> Option<Cow<'a, [u8]>> {
        let listed = || file.listing.as_ref()?.path.as_deref();
        match file.path() {
            Some(path) => Some(Cow::Borrowed(path)),
            None => listed().and_then(|path| mounted::below(&self.mounts, inode.dev, path)).map(Cow::Owned),
        }
    }

    /// Whether a future row names `id`.
    pub(super) fn names(&self, id: TaskId) -> bool {
        self.files.values().any(|file| file.concerns(id))
            || self.growth.concerns(id)
            || self.writers.concerns(id)
    }
}
