//! The views of the disk domain.

use observer_core::view::View;

/// The filesystems that fill, the times at which they are full, and the processes that write.
pub const DISK: View = View {
    help: "Which filesystems fill, when they are full, and which processes write; which deleted files still take space",
    ..View::new("disk")
};

/// The deleted files that still take space, and their holders.
pub const DELETED_OPEN: View = View {
    flag: Some("deleted-open"),
    help: "Deleted files that still take space, their holders, and which still grow",
    ..View::new("deleted-open")
};

/// All views, the main one first.
pub const ALL: &[View] = &[DISK, DELETED_OPEN];
