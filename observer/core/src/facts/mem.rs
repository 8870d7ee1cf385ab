//! Facts of the mem domain. Sizes are bytes.

use serde::{Deserialize, Serialize};

use super::TaskId;

mod object;

pub use object::{MemoryObject, ObjectId, ObjectKind, ObjectProcess};

/// What was observed in the mem domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemFact {
    /// A process's counters in a scan of all processes, without per-CPU remainders: see [`MemFact::Exact`].
    Counters { id: TaskId, memory: Memory, page_tables: u64 },
    /// A scan of all processes no longer found it: it has ended, or no longer has memory.
    Gone { id: TaskId },
    /// What a process mapped and unmapped since observation of it began.
    Totals { id: TaskId, totals: Totals },
    /// A process's counters with their per-CPU remainders: queried for the rows that are shown.
    Exact { id: TaskId, memory: Memory },
    /// The control group that a process's memory is charged to: its path, after `memory:` in version 1.
    Place { id: TaskId, cgroup: Vec<u8> },
    /// The nearest limit of a control group and the groups above it; `None` if nothing limits it.
    Limit { cgroup: Vec<u8>, nearest: Option<Limit> },
    /// The whole machine's memory.
    Machine(Box<Machine>),
    /// Kernel memory of a kind that [`Machine`] does not contain.
    Kernel { part: KernelPart, bytes: u64 },
    /// An OOM kill: the kernel kills `victim`, in a request for memory by `trigger`.
    OutOfMemory {
        /// Nanoseconds of the boot clock.
        at: u64,
        /// Its start is 0 if the kernel gives a thread's number only.
        victim: TaskId,
        trigger: TaskId,
        /// What the victim holds, without per-CPU remainders, and without address space.
        memory: Option<Memory>,
    },
    /// Memory pressure since boot, of the whole machine or of one control group.
    PressureTotals { cgroup: Option<Vec<u8>>, stalls: PressureTotals },
    /// The slab caches have been read, which took `took` nanoseconds of processor time. An event.
    SlabsRead { took: u64 },
    /// What [`Machine`] lacks of the machine's accounts.
    Accounts(Box<Accounts>),
    /// Memory that no process's counters contain.
    Object(Box<MemoryObject>),
    /// A slab cache that the kernel shrinks when memory is needed.
    ReclaimableSlab { name: Vec<u8> },
    /// What `/proc/PID/status` shows of a process and its counters do not.
    Status { id: TaskId, status: Status },
    /// What a walk over the pages of a process finds (`/proc/PID/smaps_rollup`).
    Rollup { id: TaskId, rollup: Rollup },
    /// The memory of a control group that has a limit.
    GroupMemory { group: Vec<u8>, memory: GroupMemory },
    /// Bytes of files and shared memory that processes map, each page once (meminfo `Mapped`).
    Mapped { bytes: u64 },
    /// What the managed runtime of a process knows about its heap; `None` if the process no longer has a runtime.
    RuntimeHeap { id: TaskId, heap: Option<Box<RuntimeHeap>> },
}

/// One reading of the heap of a managed runtime, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeHeap {
    /// `HotSpot 17.0.15`, `Go go1.22.10`, `CPython 3.11.7`.
    pub runtime: String,
    /// Bytes that survived the last collection; `None` with a reason.
    pub live: Option<u64>,
    /// Why `live` is unknown, as a sentence.
    pub reason: Option<String>,
    /// Whether `live` can contain garbage: the last collection left a part of the old generation alone.
    pub garbage: bool,
    /// Whether the runtime frees objects at once, so that `live` is about the moment of reading.
    pub in_use: bool,
    /// Collections since the start of the runtime, and those of the whole heap.
    pub collections: Option<u64>,
    pub full_collections: Option<u64>,
    /// Bytes that the heap may grow to.
    pub limit: Option<u64>,
}

/// Memory of a process that its counters do not contain, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Huge pages of the pool (`HugetlbPages`).
    pub hugetlb: u64,
    /// Pages that devices or io_uring use (`VmPin`), mapped or not.
    pub pinned: u64,
    /// Mappings that are locked in memory (`VmLck`), touched or not.
    pub locked: u64,
    /// The largest resident size so far (`VmHWM`).
    pub peak: u64,
}

/// Sums over all pages of a process, in bytes; of a page that several processes map, its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    pub pss: u64,
    pub pss_anon: u64,
    pub pss_shmem: u64,
    pub swap_pss: u64,
    /// Freed with `MADV_FREE`: the kernel takes it back when it needs memory.
    pub lazy_free: u64,
    /// All anonymous memory, not by share, with `lazy_free`.
    pub anon: u64,
}

/// Accounts of the machine's memory that are not in [`Machine`]: from `/proc/meminfo`, `/proc/zoneinfo`, `/proc/vmstat`
/// and `/sys/block/zram*`. `None` if this kernel does not show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// The part of the slabs that the kernel frees when memory is needed.
    pub slab_reclaimable: Option<u64>,
    /// Free pages on the lists of single CPUs, which `free` lacks.
    pub per_cpu_lists: Option<u64>,
    /// Huge pages that nothing uses, of the default size.
    pub huge_free: Option<u64>,
    /// Pages that the kernel or a device keeps in place, in other accounts as well.
    pub pinned: Option<u64>,
    /// Memory of compressed swap devices and of compressed swap in front of a device.
    pub zram: u64,
    pub zswap: u64,
    /// What a hypervisor has taken back.
    pub balloon: Option<u64>,
}

/// A part of kernel memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KernelPart {
    /// Buffers of TCP and UDP sockets; most of it is in slabs as well.
    Sockets,
    /// A slab cache by its name.
    Slab(Vec<u8>),
}

/// Cumulative microseconds in which tasks waited for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressureTotals {
    /// At least one task waited.
    pub some: u64,
    /// All tasks with work waited.
    pub full: u64,
}

/// What a process holds. Without per-CPU remainders, a counter can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub file: i64,
    pub anon: i64,
    pub swap: i64,
    pub shmem: i64,
    /// Address space.
    pub virt: i64,
}

impl Memory {
    /// The same with 0 for a counter that is negative without its per-CPU remainder.
    #[must_use]
    pub fn without_negatives(self) -> Self {
        Self {
            file: self.file.max(0),
            anon: self.anon.max(0),
            swap: self.swap.max(0),
            shmem: self.shmem.max(0),
            virt: self.virt.max(0),
        }
    }
}

/// Cumulative bytes of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub mapped: u64,
    pub unmapped: u64,
    pub mapped_file: u64,
    pub reserved: u64,
    /// What mprotect made private and writable, less what it made read-only.
    pub protected: i64,
    /// The largest resident size, known after its exit.
    pub peak: Option<u64>,
}

impl Totals {
    /// Bytes of writable memory that it asked for and did not give back.
    #[must_use]
    pub fn asked(&self) -> f64 {
        self.mapped as f64 - self.unmapped as f64 + self.protected as f64
    }
}

/// A limit of a control group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The group that sets it: the process's own or one above.
    pub group: Vec<u8>,
    /// The file that holds it: `memory.max`, `memory.high`, `memory.limit_in_bytes`.
    pub file: String,
    pub limit: u64,
    /// What is charged to the group, without file cache that is reclaimed first.
    pub usage: u64,
}

/// What is charged to a control group with a limit, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemory {
    pub limit: u64,
    /// Without file cache that is reclaimed first.
    pub usage: u64,
    /// Shared memory and files in RAM; `None` if this kernel does not count them.
    pub shmem: Option<u64>,
    /// Processes of the group that the kernel has killed because memory ran out.
    pub kills: Option<u64>,
}

/// `/proc/meminfo`, as far as it shows where memory is; `None` if this kernel does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub total: u64,
    pub free: u64,
    pub available: Option<u64>,
    pub buffers: u64,
    /// Page cache, shared memory included.
    pub cached: u64,
    pub swap_cached: u64,
    pub anon: u64,
    pub shmem: u64,
    pub slab: u64,
    pub kernel_stack: u64,
    pub page_tables: u64,
    pub secondary_page_tables: Option<u64>,
    pub per_cpu: Option<u64>,
    pub vmalloc: Option<u64>,
    pub hugetlb: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

/// Slots of the mem domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemSlot {
    Counters(TaskId),
    Totals(TaskId),
    Exact(TaskId),
    Place(TaskId),
    Limit(Vec<u8>),
    Machine,
    Kernel(KernelPart),
    PressureTotals(Option<Vec<u8>>),
    Accounts,
    Object(ObjectId),
    ReclaimableSlab(Vec<u8>),
    Status(TaskId),
    Rollup(TaskId),
    GroupMemory(Vec<u8>),
    Mapped,
    RuntimeHeap(TaskId),
}

impl MemSlot {
    /// All that is known of one process.
    pub(super) const fn of(id: TaskId) -> [Self; 7] {
        [
            Self::Counters(id),
            Self::Totals(id),
            Self::Exact(id),
            Self::Place(id),
            Self::Status(id),
            Self::Rollup(id),
            Self::RuntimeHeap(id),
        ]
    }
}

impl MemFact {
    pub(super) fn slot(&self) -> Option<MemSlot> {
        match self {
            Self::Counters { id, .. } => Some(MemSlot::Counters(*id)),
            Self::Totals { id, .. } => Some(MemSlot::Totals(*id)),
            Self::Exact { id, .. } => Some(MemSlot::Exact(*id)),
            Self::Place { id, .. } => Some(MemSlot::Place(*id)),
            Self::Limit { cgroup, .. } => Some(MemSlot::Limit(cgroup.clone())),
            Self::Machine(_) => Some(MemSlot::Machine),
            Self::Kernel { part, .. } => Some(MemSlot::Kernel(part.clone())),
            Self::PressureTotals { cgroup, .. } => Some(MemSlot::PressureTotals(cgroup.clone())),
            Self::Accounts(_) => Some(MemSlot::Accounts),
            Self::Object(object) => Some(MemSlot::Object(object.id)),
            Self::ReclaimableSlab { name } => Some(MemSlot::ReclaimableSlab(name.clone())),
            Self::Status { id, .. } => Some(MemSlot::Status(*id)),
            Self::Rollup { id, .. } => Some(MemSlot::Rollup(*id)),
            Self::Mapped { .. } => Some(MemSlot::Mapped),
            Self::RuntimeHeap { id, .. } => Some(MemSlot::RuntimeHeap(*id)),
            Self::GroupMemory { group, .. } => Some(MemSlot::GroupMemory(group.clone())),
            Self::Gone { .. } | Self::OutOfMemory { .. } | Self::SlabsRead { .. } => None,
        }
    }

    pub(super) fn gone(&self) -> Option<Self> {
        match self {
            Self::Counters { id, .. } => Some(Self::Gone { id: *id }),
            _ => None,
        }
    }

    /// A slab cache that holds nothing may be gone: it is not remembered.
    pub(super) fn ended_slots(&self) -> Vec<MemSlot> {
        match self {
            Self::Gone { id } => MemSlot::of(*id).to_vec(),
            Self::Kernel { part: part @ KernelPart::Slab(_), bytes: 0 } => {
                vec![MemSlot::Kernel(part.clone())]
            }
            Self::Object(object) if object.bytes == 0 => vec![MemSlot::Object(object.id)],
            _ => Vec::new(),
        }
    }

    /// Exact counters belong to the counters of their time. A process in a group makes the group's limit new again: the
    /// state forgets a group without processes.
    pub(super) fn outdates(&self) -> Option<MemSlot> {
        match self {
            Self::Counters { id, .. } => Some(MemSlot::Exact(*id)),
            Self::Place { cgroup, .. } => Some(MemSlot::Limit(cgroup.clone())),
            _ => None,
        }
    }

    /// A group has facts while a process is in it.
    pub(super) fn keeps(&self) -> Vec<MemSlot> {
        match self {
            Self::Place { cgroup, .. } => {
                vec![MemSlot::Limit(cgroup.clone()), MemSlot::PressureTotals(Some(cgroup.clone()))]
            }
            Self::Limit { nearest: Some(limit), .. } => vec![MemSlot::GroupMemory(limit.group.clone())],
            _ => Vec::new(),
        }
    }
}
