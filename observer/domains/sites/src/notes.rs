//! The notes of the sites domain.

observer_core::notes! {
    /// Notes of `mem --where`; docs/notes.md describes each.
    pub enum SitesNote {
        /// A process cannot be watched.
        Unwatched = "where-unwatched", Watch, incomplete;
        /// Call paths end before the start of their thread.
        Incomplete = "where-incomplete", Info;
        /// A process grows, and no site keeps what it touches first.
        Reused = "where-reused", Info;
    }
}
