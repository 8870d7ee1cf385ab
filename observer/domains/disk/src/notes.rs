//! The notes of the disk domain.

observer_core::notes! {
    /// Notes of `disk` and `disk --deleted-open`; docs/notes.md describes each.
    pub enum DiskNote {
        /// Which files processes write to is not known.
        FilesUnknown = "files-unknown", Info, incomplete;
        /// Filesystems on which writes are not seen.
        UnexplainedUnknown = "unexplained-unknown", Info, incomplete;
        /// Overlays, whose growth is counted on the filesystem below.
        UnexplainedOverlay = "unexplained-overlay", Info;
        /// Files of btrfs take blocks that are not counted as used yet.
        UnexplainedPromised = "unexplained-promised", Info;
        /// More files grew than are read for one report.
        GrowthLate = "growth-late", Info;
        /// There is no trend yet.
        Trend = "disk-trend", Info;
        /// Some mount namespaces were not read.
        NamespacesUnread = "namespaces-unread", Info;
        /// The path of a file is not known.
        PathUnknown = "path-unknown", Info;
        /// A program is started again and again and writes each time.
        RestartedWriter = "restarted-writer", Watch;
        /// A log grows line by line.
        SmallAppends = "small-appends", Watch;
        /// Temporary files whose creators have exited.
        LeftBehind = "left-behind", Watch;
        /// Which of several writers wrote how much is not known.
        WritersUnknown = "writers-unknown", Info;
        /// Files that were deleted before observation began.
        DeletedBefore = "deleted-before", Info;
        /// No event reported who deleted a file.
        DeleterUnknown = "deleter-unknown", Info;
        /// The blocks that a file takes are not known.
        AllocatedUnknown = "allocated-unknown", Info;
        /// How much of a file's blocks other files share is not known.
        BlocksShared = "blocks-shared", Info;
        /// Files that were seen for the first time.
        GrowthUnknown = "growth-unknown", Info;
        /// Which of several holders wrote is not known.
        WrittenUnknown = "written-unknown", Info;
        /// The kernel itself holds a file.
        KeptByKernel = "kept-by-kernel", Info;
        /// Files as an earlier reading of the inode lists showed them.
        InodesReadBefore = "inodes-read-before", Info;
        /// The inode lists were not read completely.
        InodesUnread = "inodes-unread", Info;
        /// Files are known from their writers alone.
        HoldersUnknown = "holders-unknown", Info;
    }
}
