//! The notes of the disk domain.

observer_core::notes! {
    /// Notes of `disk` and `disk --deleted-open`; docs/notes.md describes each.
    pub enum DiskNote {
        /// The files that processes write to are unknown.
        FilesUnknown = "files-unknown", Info, incomplete;
        /// Writes to some filesystems have no events.
        UnexplainedUnknown = "unexplained-unknown", Info, incomplete;
        /// Overlays: their growth counts on the filesystem below.
        UnexplainedOverlay = "unexplained-overlay", Info;
        /// Files of btrfs take blocks that do not count as used yet.
        UnexplainedPromised = "unexplained-promised", Info;
        /// More files grew than can be queried for one report.
        GrowthLate = "growth-late", Info;
        /// There is no trend yet.
        Trend = "disk-trend", Info;
        /// Some mount namespaces were not read.
        NamespacesUnread = "namespaces-unread", Info;
        /// The path of a file is unknown.
        PathUnknown = "path-unknown", Info;
        /// A program restarts again and again and writes each time.
        RestartedWriter = "restarted-writer", Watch;
        /// A log grows line by line.
        SmallAppends = "small-appends", Watch;
        /// Temporary files whose creators have exited.
        LeftBehind = "left-behind", Watch;
        /// The bytes of each of several writers are unknown.
        WritersUnknown = "writers-unknown", Info;
        /// Files that were deleted before observation began.
        DeletedBefore = "deleted-before", Info;
        /// No event reported the process that deleted a file.
        DeleterUnknown = "deleter-unknown", Info;
        /// The blocks that a file takes are unknown.
        AllocatedUnknown = "allocated-unknown", Info;
        /// The bytes of a file's blocks that other files share are unknown.
        BlocksShared = "blocks-shared", Info;
        /// Some files were seen for the first time.
        GrowthUnknown = "growth-unknown", Info;
        /// The writer among several holders is unknown.
        WrittenUnknown = "written-unknown", Info;
        /// The kernel itself holds a file.
        KeptByKernel = "kept-by-kernel", Info;
        /// Files have the values of an earlier reading of the inode lists.
        InodesReadBefore = "inodes-read-before", Info;
        /// The inode lists were not read completely.
        InodesUnread = "inodes-unread", Info;
        /// Files are known from their writers only.
        HoldersUnknown = "holders-unknown", Info;
    }
}
