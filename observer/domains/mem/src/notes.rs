//! The notes of the mem domain.

observer_core::notes! {
    /// Notes of `mem`; docs/notes.md describes each.
    pub enum MemNote {
        /// Some rates are growth over a time shorter than the window.
        Trend = "mem-trend", Info;
        /// Some limits are unknown.
        Limit = "mem-limit", Info;
        /// Rows of ended processes have only totals.
        Ended = "mem-ended", Info;
        /// Memory ran out and the kernel killed a process.
        OomKill = "mem-oom", Watch;
        /// A program was restarted and needs as much memory as before.
        Restart = "mem-restart", Info;
        /// The slab caches were read earlier than the other values.
        SlabsReadBefore = "mem-slabs-read-before", Info;
        /// Tasks waited for memory.
        Stall = "mem-stall", Watch;
    }
}
