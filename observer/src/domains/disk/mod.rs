//! Which deleted files still take space, who holds them and makes them grow; which filesystems fill, and who writes.
//!
//! Seen: holders by descriptor (also in threads with a table of their own) and by mapping; every file that has no name
//! any more, those that never had one (`O_TMPFILE`) included, in RAM as on disk. Sizes are the inode's own; who made a
//! file grow is told by events on ext4, elsewhere it is known where there is one holder.
//!
//! Not seen: holders without descriptor or mapping (files registered with io_uring, descriptors in flight in a socket,
//! loop devices, swap files); who deleted a file before observation began; shared blocks (reflinks), for which nobody
//! can say what the end of a holder gives back; which file a process writes to while it has a name.

use super::Declaration;

mod bytes;
pub mod decode;
mod file;
pub mod hooks;
mod magic;
pub mod report;
mod space;
pub mod state;
mod writer;

/// The domain's entry in the list of domains.
pub const DECLARATION: Declaration = Declaration {
    name: "disk",
    hooks: hooks::HOOKS,
    fields: observer_common::disk::FIELDS,
    // Files of a stacked filesystem have their own type since Linux 6.5.
    optional_fields: &["BACKING_DENTRY"],
    decoder: |_| Box::new(decode::DiskDecoder::default()),
};
