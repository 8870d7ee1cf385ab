//! A held deleted file: its numbers over time, its holders, the process that deleted it, and the processes that made it
//! grow.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    magic::{EXT4, Magic},
    queries::{FileHandle, ReachedBy},
};
use observer_core::{
    facts::{
        TaskId,
        disk::{Answer, Descriptor, File, FileGrowth, Hold, HoldKind, InodeId, ListedInode, Pins},
    },
    trend::window::Window,
};

/// The interval of queries for shared extents, in nanoseconds, for an unchanged file and for one that had some.
const EXTENTS_EVERY: u64 = 10_000_000_000;
const SHARED_EVERY: u64 = 2_000_000_000;

/// The largest size of the blocks, in bytes, of a file with its data in the inode: a block of extended attributes.
const XATTR: u64 = 1 << 16;

/// The state of a deleted file.
#[derive(Debug)]
pub struct HeldFile {
    /// The inode's own numbers; `None` if the file is known from events only.
    pub file: Option<File>,
    pub holders: BTreeMap<TaskId, Holder>,
    pub deleted: Option<Deletion>,
    /// Bytes by which each process made the file grow, by its events, up to the size `attributed`.
    pub writers: BTreeMap<TaskId, u64>,
    attributed: u64,
    /// The last writer: later growth is attributed to it.
    owner: Option<TaskId>,
    /// Whether every growth has an event.
    exact: bool,
    /// Bytes that each process had written when its growth was first measured; they do not count.
    before: BTreeMap<TaskId, u64>,
    /// The size by a query for the inode number, if no scan finds the file.
    found: Option<u64>,
    answer: Answer,
    /// Bytes of its shared extents, if known.
    shared: Option<u64>,
    /// What keeps its shared blocks allocated, and the bytes that its compressed extents take.
    pub pins: Pins,
    /// The size at the last query for shared extents, and the time of that query.
    extents_queried: Option<(Option<u64>, u64)>,
    /// The record of the inode lists, if no holder provides the path.
    pub listing: Option<ListedInode>,
    /// Whether the file existed when observation began.
    pub early: bool,
    /// Every process that held the file while observed: its growth can be attributed if there was only one.
    past: BTreeSet<TaskId>,
    size: Window,
    allocated: Window,
    /// The sum of its growth from report to report: a truncation does not reduce it.
    grown: u64,
    last_size: Option<u64>,
}

/// How a process holds the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    pub descriptors: Vec<Descriptor>,
    /// The lowest mapping: start and end address.
    pub mapping: Option<(u64, u64)>,
    /// Whether the process executes the file.
    pub executable: bool,
    /// The descriptor of the io_uring instance with which the file is registered.
    pub ring: Option<u32>,
    /// The descriptor of the socket to which a descriptor of the file is in flight.
    pub socket: Option<u32>,
}

/// The removal of the last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub by: TaskId,
    /// Nanoseconds of the boot clock.
    pub at: u64,
}

impl HeldFile {
    /// A file without facts; growth looks back over `window` seconds.
    pub fn new(window: f64, early: bool) -> Self {
        Self {
            file: None,
            holders: BTreeMap::new(),
            deleted: None,
            writers: BTreeMap::new(),
            attributed: 0,
            owner: None,
            exact: false,
            found: None,
            before: BTreeMap::new(),
            answer: Answer::default(),
            shared: None,
            pins: Pins::default(),
            extents_queried: None,
            listing: None,
            early,
            past: BTreeSet::new(),
            size: Window::new(window),
            allocated: Window::new(window),
            grown: 0,
            last_size: None,
        }
    }

    pub fn magic(&self) -> Magic {
        Magic(self.file.map_or(EXT4.0, |file| file.magic))
    }

    pub fn hold(&mut self, id: TaskId, hold: &Hold) {
        self.past.insert(id);
        let holder = self.holders.entry(id).or_default();
        match hold {
            Hold::Descriptors(descriptors) => holder.descriptors.clone_from(descriptors),
            Hold::Mapping { start, end } => holder.mapping = Some((*start, *end)),
            Hold::Executable => holder.executable = true,
            Hold::Registered { ring } => holder.ring = Some(*ring),
            Hold::InFlight { socket } => holder.socket = Some(*socket),
        }
    }

    pub fn release(&mut self, id: TaskId, how: HoldKind) {
        if let Some(holder) = self.holders.get_mut(&id) {
            match how {
                HoldKind::Descriptors => holder.descriptors.clear(),
                HoldKind::Mapping => holder.mapping = None,
                HoldKind::Executable => holder.executable = false,
                HoldKind::Registered => holder.ring = None,
                HoldKind::InFlight => holder.socket = None,
            }
            if *holder == Holder::default() {
                self.holders.remove(&id);
            }
        }
    }

    /// Takes in the growth by events.
    pub fn grows(&mut self, growing: &FileGrowth) {
        self.attributed = growing.size;
        self.owner = growing.owner;
        self.exact = growing.exact;
        self.writers = growing.writers.iter().copied().collect();
    }

    /// Whether every growth so far has had an event.
    pub fn has_exact_shares(&self) -> bool {
        self.exact
    }

    /// Takes in the size from a query for the inode number.
    pub fn found(&mut self, size: u64) {
        self.found = Some(size);
    }

    /// Takes in the bytes of shared extents.
    pub fn shares(&mut self, bytes: Option<u64>) {
        self.shared = bytes;
    }

    /// Whether to query shared extents at `now`: the file has grown, or its shared extents may have changed.
    pub fn needs_extents_query(&self, now: u64) -> bool {
        let every = if self.shared.is_some_and(|shared| shared > 0) { SHARED_EVERY } else { EXTENTS_EVERY };
        let is_old = |(size, at): (Option<u64>, u64)| size != self.size() || now.saturating_sub(at) >= every;
        self.magic().reports_extents() && self.extents_queried.is_none_or(is_old)
    }

    /// Shared extents are queried at `at`.
    pub fn extents_queried(&mut self, at: u64) {
        self.extents_queried = Some((self.size(), at));
    }

    /// Bytes that become free with the last holder: the blocks without shared extents.
    pub fn reclaimable(&self) -> Option<u64> {
        let allocated = self.allocated()?;
        let shared = if self.magic().frees() { Some(0) } else { self.shared };
        match self.pins.compressed {
            _ if allocated == 0 => Some(0),
            Some(compressed) => Some(compressed),
            None => shared.map(|shared| allocated.saturating_sub(shared)),
        }
    }

    /// Takes in an answer. A known path stays.
    pub fn answered(&mut self, answer: &Answer) {
        self.answer.stat = answer.stat;
        if answer.path.is_some() {
            self.answer.path.clone_from(&answer.path);
        }
    }

    /// The file is no longer queried: its last `statx` is out of date.
    pub fn forget_stat(&mut self) {
        self.answer.stat = None;
    }

    pub fn path(&self) -> Option<&[u8]> {
        self.answer.path.as_deref()
    }

    /// The size in bytes. While a descriptor is open, the size of the scan is exact and newer.
    pub fn size(&self) -> Option<u64> {
        let described = self.holders.values().any(|holder| !holder.descriptors.is_empty());
        match (self.file, self.answer.stat) {
            (Some(file), _) if described => Some(file.size),
            (_, Some(stat)) => Some(stat.size),
            (file, None) => file.map(|file| file.size),
        }
    }

    /// Bytes of the blocks: those of `statx`, including delayed allocation; otherwise the inode's own, unless they have
    /// no meaning.
    pub fn allocated(&self) -> Option<u64> {
        if let Some(stat) = self.answer.stat {
            return Some(stat.allocated);
        }
        // A scan that knows the file below a stacked one has the blocks of that file.
        let file = self.file.filter(|file| file.allocated > 0 || !self.magic().has_no_blocks())?;
        (file.allocated > 0 || file.size == 0).then_some(file.allocated)
    }

    /// The most bytes that the file may take: the largest files are queried first.
    pub fn weight(&self) -> u64 {
        self.file.map_or(0, |file| file.size.max(file.allocated))
    }

    /// A report is due at `at`, and every series continues to it.
    pub fn sample(&mut self, at: u64) {
        if let Some(size) = self.size() {
            if self.last_size.is_none() {
                self.before = self.writers.keys().map(|id| (*id, self.total(*id))).collect();
            }
            self.size.push(at, size as f64);
            self.grown = self.grown.saturating_add(size.saturating_sub(self.last_size.unwrap_or(size)));
            self.last_size = Some(size);
        }
        if let Some(allocated) = self.allocated() {
            self.allocated.push(at, allocated as f64);
        }
    }

    /// The series of growth: the size, or the blocks if only they changed (a filled hole, or reserved space).
    fn growing_series(&self, now: u64) -> &Window {
        match (self.size.growth(now), self.allocated.growth(now)) {
            (Some(0.0), Some(blocks)) if blocks != 0.0 => &self.allocated,
            _ => &self.size,
        }
    }

    /// Bytes of growth over the window; by events if no scan reads the size.
    pub fn growth(&self, now: u64) -> Option<i64> {
        match self.file {
            Some(_) => self.growing_series(now).growth(now).map(|growth| growth as i64),
            None => {
                let written = self.writers.keys().map(|id| self.total(*id));
                i64::try_from(written.fold(0, u64::saturating_add)).ok()
            }
        }
    }

    /// Bytes per second since `previous`.
    pub fn rate(&self, previous: u64, now: u64) -> Option<f64> {
        self.growing_series(now).rate(previous, now)
    }

    /// Bytes of growth that `id` wrote. `by_event`: whether growth on ext4 has events.
    pub fn written(&self, id: TaskId, by_event: bool) -> Option<u64> {
        if self.exact || by_event && self.magic() == EXT4 {
            return Some(self.total(id).saturating_sub(self.before.get(&id).copied().unwrap_or(0)));
        }
        (self.past.len() == 1 && self.past.contains(&id) && self.file.is_some()).then_some(self.grown)
    }

    /// Bytes by which `id` made the file grow since the first event.
    fn total(&self, id: TaskId) -> u64 {
        let reported = self.writers.get(&id).copied().unwrap_or(0);
        let size = self.size().or(self.found).filter(|_| self.owner == Some(id));
        reported.saturating_add(size.map_or(0, |size| size.saturating_sub(self.attributed)))
    }

    /// The entry in `/proc` that leads to the file: a descriptor if there is one, else the executable, else a mapping.
    pub fn handle(&self, inode: InodeId) -> Option<FileHandle> {
        let through = |holder: &Holder| {
            let descriptor = holder.descriptors.first();
            let descriptor =
                descriptor.map(|first| ReachedBy::Descriptor { thread: first.thread, fd: first.fd });
            let mapping = holder.mapping.map(|(start, end)| ReachedBy::Mapping { start, end });
            descriptor.or(mapping).or(holder.executable.then_some(ReachedBy::Executable))
        };
        let alternatives = self.holders.iter().filter_map(|(id, holder)| Some((*id, through(holder)?)));
        let (holder, through) = alternatives.min_by_key(|(_, through)| *through)?;
        let may_be_inline =
            self.file.is_some_and(|file| Magic(file.magic) == EXT4 && file.allocated <= XATTR);
        Some(FileHandle { inode, holder, through, ask: self.magic().ask(), may_be_inline })
    }

    /// Whether the file has no descriptor, so that only on-demand scans read its numbers.
    pub fn undescribed(&self) -> bool {
        self.holders.values().all(|holder| holder.descriptors.is_empty())
    }

    /// Whether no holder allows a query for the file's numbers.
    pub fn unreachable(&self) -> bool {
        self.undescribed()
            && self.holders.values().all(|holder| holder.mapping.is_none() && !holder.executable)
    }

    /// Whether the file is known from inode lists only.
    pub fn is_listed_alone(&self) -> bool {
        self.listing.is_some() && self.holders.is_empty()
    }

    /// Every process that holds the file. Without a scan of holders: every process that wrote to it.
    pub fn processes(&self) -> Vec<TaskId> {
        let unseen = self.writers.keys().filter(|_| self.file.is_none() && self.holders.is_empty());
        self.holders.keys().chain(unseen).copied().collect()
    }

    /// Whether rows about the file name `id`.
    pub fn concerns(&self, id: TaskId) -> bool {
        self.deleted.is_some_and(|deletion| deletion.by == id) || self.holders.contains_key(&id)
    }
}
