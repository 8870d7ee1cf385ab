//! The notes of the mem domain.

observer_core::notes! {
    /// Notes of `mem`; docs/notes.md describes each.
    pub enum MemNote {
        /// Some rates are growth over the time observed so far.
        Trend = "mem-trend", Info;
        /// Some limits are not known.
        Limit = "mem-limit", Info;
        /// Rows of ended processes hold totals only.
        Ended = "mem-ended", Info;
        /// Memory ran out and the kernel killed a process.
        OomKill = "mem-oom", Watch;
        /// A program was restarted and needs as much memory as before.
        Restart = "mem-restart", Info;
        /// The slab caches are older than the rest.
        SlabsReadBefore = "mem-slabs-read-before", Info;
        /// Tasks waited for memory.
        Stall = "mem-stall", Watch;
    }
}
