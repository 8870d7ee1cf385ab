//! The questions that the disk domain answers.

use observer_core::view::View;

/// Which filesystems fill, when they are full, and who writes.
pub const DISK: View = View {
    help: "Which filesystems fill, when they are full, who writes; which deleted files still take space",
    ..View::new("disk")
};

/// Deleted files that still take space, and who holds them.
pub const DELETED_OPEN: View = View {
    flag: Some("deleted-open"),
    help: "Deleted files that still take space, who holds them, which still grow",
    ..View::new("deleted-open")
};

/// All of them, the main one first.
pub const ALL: &[View] = &[DISK, DELETED_OPEN];
