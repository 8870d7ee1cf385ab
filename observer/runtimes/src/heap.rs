//! What a runtime knows about its heap, and why it cannot be known.

use std::{fmt, time::Duration};

/// A managed runtime that this crate can read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Java on OpenJDK's virtual machine.
    HotSpot,
    Go,
    /// Python's reference implementation.
    CPython,
}

/// A value, or the reason why it cannot be known.
pub type Known<T> = Result<T, Reason>;

/// One reading of a heap. Counts are cumulative since the start of the runtime, sizes are bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heap {
    /// Bytes that were in use right after the last collection; `basis` states what they may still contain.
    pub live: Known<u64>,
    pub basis: Basis,
    /// Bytes that survived the last *full* collection, while the runtime still knows them.
    pub live_after_full: Option<u64>,
    /// Objects that survived the last full collection (CPython: containers, which the cycle collector tracks).
    pub objects: Option<u64>,
    /// Bytes of class metadata after the last collection (HotSpot's metaspace, which is outside the heap).
    pub metadata: Option<u64>,
    /// Bytes that the heap has reserved and may fill without asking the kernel.
    pub capacity: Option<u64>,
    /// Bytes that the heap may grow to (`-Xmx`, `GOMEMLIMIT`); `None`: without limit.
    pub limit: Option<u64>,
    pub collections: Known<u64>,
    pub full_collections: Known<u64>,
    /// Time for which collections stopped the program.
    pub paused: Known<Duration>,
    /// When the last full collection ended, since 1970.
    pub last_full: Option<Duration>,
}

/// What `live` counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Basis {
    /// The last collection covered the whole heap: what is left is referenced, or was allocated while the collector
    /// marked (Go).
    WholeHeap,
    /// The last collection left a part of the old generation alone: garbage there is still counted. The minima of a
    /// series are near the truth.
    YoungGeneration,
    /// References are counted, and objects are freed at once: bytes of objects at the moment of reading.
    InUse,
}

/// Why something cannot be known. Its text is a sentence that names the remedy, if there is one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The process has ended, or runs another program now.
    Ended,
    /// The kernel does not let this observer read the memory of the process.
    NotPermitted,
    /// Nothing has been collected since the runtime started.
    NoCollection,
    /// The JVM keeps no counters.
    NoCounters,
    /// The collector, by its own name, does not record this.
    NotRecorded(String),
    /// The Go binary has no symbol table, and its code does not show where the variables are.
    NoSymbolTable,
    /// This version of the runtime, or this build of it, is not known here.
    UnknownVersion(String),
    /// CPython does not use its own allocator.
    ForeignAllocator,
    /// What was read contradicts itself: it changed meanwhile, or is not what it pretends to be.
    Inconsistent(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("The process has ended or runs another program now."),
            Self::NotPermitted => f.write_str(
                "The memory of the process cannot be read: run observer as root or with CAP_SYS_PTRACE.",
            ),
            Self::NoCollection => f.write_str("The runtime has not collected yet."),
            Self::NoCounters => f.write_str("The JVM keeps no counters: start it without -XX:-UsePerfData."),
            Self::NotRecorded(collector) => write!(f, "{collector} does not record this."),
            Self::NoSymbolTable => f.write_str(
                "The Go binary has no symbol table: build it without -ldflags=-s, or do not strip it.",
            ),
            Self::UnknownVersion(version) => write!(f, "The layout of {version} is not known here."),
            Self::ForeignAllocator => f.write_str(
                "Python's objects are in another allocator than its own: start it without PYTHONMALLOC, and not \
                 as a free-threaded build.",
            ),
            Self::Inconsistent(what) => write!(f, "What was read is not consistent: {what}."),
        }
    }
}

impl std::error::Error for Reason {}
