//! The codes of this domain's notes.

observer_core::note_codes! {
    FILES_UNKNOWN: gap "files-unknown";
    UNEXPLAINED_UNKNOWN: gap "unexplained-unknown";
    UNEXPLAINED_OVERLAY: remark "unexplained-overlay";
    UNEXPLAINED_PROMISED: remark "unexplained-promised";
    GROWTH_LATE: remark "growth-late";
    DISK_TREND: remark "disk-trend";
    NAMESPACES_UNREAD: remark "namespaces-unread";
    PATH_UNKNOWN: remark "path-unknown";
    RESTARTED_WRITER: remark "restarted-writer";
    SMALL_APPENDS: remark "small-appends";
    LEFT_BEHIND: remark "left-behind";
    WRITERS_UNKNOWN: remark "writers-unknown";
    DELETED_BEFORE: remark "deleted-before";
    DELETER_UNKNOWN: remark "deleter-unknown";
    ALLOCATED_UNKNOWN: remark "allocated-unknown";
    BLOCKS_SHARED: remark "blocks-shared";
    GROWTH_UNKNOWN: remark "growth-unknown";
    WRITTEN_UNKNOWN: remark "written-unknown";
    KEPT_BY_KERNEL: remark "kept-by-kernel";
    INODES_READ_BEFORE: remark "inodes-read-before";
    INODES_UNREAD: remark "inodes-unread";
    HOLDERS_UNKNOWN: remark "holders-unknown";
}
